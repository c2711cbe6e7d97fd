"""Draws of what two models say of labelled rows, with what is true known, to see what holds.

Used by the simulation tests and by benchmarks/coverage.py. All rows are numbers; no text, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from labelled import judged
from numpy.typing import NDArray

from edgeguard.evaluation.intervals import Estimate, f1_difference
from edgeguard.evaluation.judging import Judged
from edgeguard.evaluation.resampling import Profiles
from edgeguard.evaluation.shipping import MARGIN, tail_of

LOSSES = ("recall", "alarms", "both")


@dataclass(frozen=True)
class Pair:
    """Two models: chances of the four cells of a harmless row, and of a harmful one.

    The cells are first * 2 + other, by what each of the two flags.
    """

    harmful: int
    harmless: int
    on_harmful: NDArray[np.float64]
    on_harmless: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """How much worse the other's F1 truly is."""
        h, n = self.harmful * self.on_harmful, self.harmless * self.on_harmless
        return _f1(h[2] + h[3], n[2] + n[3], h.sum()) - _f1(h[1] + h[3], n[1] + n[3], h.sum())

    def draw(self, rng: np.random.Generator, draws: int) -> NDArray[np.int64]:
        """Counts of the eight cells: (draws, 8)."""
        harmless = rng.multinomial(self.harmless, self.on_harmless, size=draws)
        return np.hstack([harmless, rng.multinomial(self.harmful, self.on_harmful, size=draws)])


def _f1(tp: float, fp: float, harmful: float) -> float:
    return float(2 * tp / (tp + fp + harmful))


def pair_that_loses(
    loss: float,
    harmful: int,
    harmless: int,
    *,
    recall: float = 1.0,
    alarms: float = 0.0,
    won: float = 0.0,
    by: str = "recall",
) -> Pair | None:
    """Two models of which the other is truly so much worse; None where that cannot be.

    ``won`` is the share of the first's mistakes that the other does not make, ``by`` one of LOSSES.
    """

    def made(lost: float) -> Pair:
        missed = (1 - recall) * won + (lost if by != "alarms" else 0)
        false = alarms * won + (lost if by != "recall" else 0)
        gain, quiet = (1 - recall) * won, alarms * won
        on_harmful = [1 - recall - gain, gain, missed, recall - missed]
        on_harmless = [1 - alarms - false, false, quiet, alarms - quiet]
        return Pair(harmful, harmless, np.array(on_harmful), np.array(on_harmless))

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        one = made(middle)
        fits = min(one.on_harmful.min(), one.on_harmless.min()) >= 0
        low, high = (middle, high) if fits and one.loss <= loss else (low, middle)
    found = made(low)
    if abs(found.loss - loss) > 1e-6:
        return None
    return found


def change_of(table: Sequence[int], tail: float = tail_of(1)) -> Estimate | None:
    """The interval that the product gives for such counts."""
    counts = np.array(table)
    return f1_difference(Profiles(np.eye(8)[counts > 0], counts[counts > 0].astype(float)), tail)


def passes(change: Estimate | None) -> bool:
    """Whether F1 does not speak against the file."""
    return change is not None and change.low > -MARGIN


def by_groups(
    rng: np.random.Generator, sizes: NDArray[np.int64], chance: float, icc: float
) -> NDArray[np.bool_]:
    """What happens to each row with that chance, correlated in its group: (rows,)."""
    if icc == 0:
        chances = np.full(len(sizes), chance)
    elif icc == 1:
        chances = (rng.random(len(sizes)) < chance).astype(float)
    else:
        spread = 1 / icc - 1
        chances = rng.beta(chance * spread, (1 - chance) * spread, len(sizes))
    happens: NDArray[np.bool_] = rng.random(sizes.sum()) < np.repeat(chances, sizes)
    return happens


def scored(
    harmless: Sequence[float],
    harmful: Sequence[float],
    *,
    times: int = 1,
    groups: Sequence[int] | None = None,
) -> list[Judged]:
    """Rows with the given probabilities of Unsafe, each text so many times."""
    pairs = [("Safe", score) for score in harmless] + [("Unsafe", score) for score in harmful]
    return [
        judged(
            label,  # type: ignore[arg-type]
            "Safe",
            (1 - score, score, 0.0),
            number=number * times + copy,
            text=f"text {number}",
            group=None if groups is None else f"{groups[number]}",
        )
        for number, (label, score) in enumerate(pairs)
        for copy in range(times)
    ]
