"""Do the intervals and the rule to ship hold what they promise? Simulations, by our own functions.

    python benchmarks/coverage.py

Draws what two models say of rows whose truth is known, asks edgeguard for its interval or its
answer, and counts how often it is wrong. Writes benchmarks/results/coverage.md; six minutes. The
seeds are fixed. Nothing is judged, and no text is read.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import machine  # noqa: E402
from drawn import LOSSES, by_groups, change_of, pair_that_loses, passes, scored  # noqa: E402

from edgeguard.errors import InputError  # noqa: E402
from edgeguard.evaluation import resampling  # noqa: E402
from edgeguard.evaluation.intervals import (  # noqa: E402
    Estimate,
    Quality,
    f1_difference,
    paired,
    quality,
    rate,
)
from edgeguard.evaluation.shipping import MARGIN, SAME, tail_of  # noqa: E402
from edgeguard.evaluation.threshold import FALSE_ALARMS, RECALL, find_threshold  # noqa: E402
from edgeguard.policy import STRICT  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "coverage.md"
HARMFUL = (2, 4, 8, 20, 60, 120, 250, 500, 1000)
DRAWS = 200
resampling.RESAMPLES = 2000  # a fifth of what the commands take: less sharp, as right on average
Line = Sequence[object]


@lru_cache(maxsize=200_000)
def ships(table: tuple[int, ...]) -> bool:
    """Whether the F1 of one policy lets a file pass."""
    if _change(np.array(table)) <= -MARGIN:
        return False  # as its interval holds it; no need to draw
    return passes(change_of(table))


@lru_cache(maxsize=200_000)
def shipped_before(table: tuple[int, ...]) -> bool:
    """The same by a percentile bootstrap over rows, as the rule was before."""
    counts = np.array(table)
    shares = counts / counts.sum()
    drawn = np.random.default_rng(0).multinomial(counts.sum(), shares, size=2000)
    return bool(np.quantile(_change(drawn.T), 0.025) > -MARGIN)


def _change(c: NDArray[np.int64]) -> NDArray[np.float64]:
    """The change of F1 that counts of the eight cells give."""
    first, other = 2 * (c[6] + c[7]), 2 * (c[5] + c[7])
    before = first / np.maximum(first + c[2] + c[3] + c[4] + c[5], 1)
    after = other / np.maximum(other + c[1] + c[3] + c[4] + c[6], 1)
    return np.asarray(after - before)


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def issue() -> Iterator[Line]:
    """Files that only miss: the chance is a sum, nothing is drawn."""
    yield ("harmful of all rows", "the file misses", "true loss", "ships", "percentile bootstrap")
    for harmful, missed in ((2, 0.25), (4, 0.25), (8, 0.15), (20, 0.05), (60, 0.03), (250, 0.02)):
        chances = []
        for rule in (ships, shipped_before):
            tables = [(400, 0, 0, 0, 0, 0, k, harmful - k) for k in range(harmful + 1)]
            chances.append(sum(binom.pmf(t[6], harmful, missed) for t in tables if rule(t)))
        loss = percent(1 - 2 * (1 - missed) / (2 - missed))
        yield (f"{harmful} of {harmful + 400}", percent(missed), loss, *map(percent, chances))


def ship_rule(settings: int = 10) -> Iterator[Line]:
    """Files that truly lose one point (the margin), or two."""
    yield ("harmful rows", "loss", "settings", "ships, mean", "worst", "bootstrap, mean", "worst")
    space = list(
        itertools.product(
            (0.5, 3, 20), (0.6, 0.8, 0.95, 1.0), (0, 0.05, 0.3), (0, 0.1, 0.5), LOSSES
        )
    )
    for harmful, loss in itertools.product(HARMFUL, (0.01, 0.02)):
        rng = np.random.default_rng(harmful)
        found: list[object] = []
        for ratio, recall, alarms, won, by in random.Random(harmful).sample(space, len(space)):
            harmless = int(harmful * ratio)
            pair = pair_that_loses(
                loss, harmful, harmless, recall=recall, alarms=alarms, won=won, by=by
            )
            if pair is None or len(found) == settings:
                continue
            tables = [tuple(table) for table in pair.draw(rng, DRAWS).tolist()]
            found.append([np.mean([rule(t) for t in tables]) for rule in (ships, shipped_before)])
        new, old = np.array(found).T
        ends = (percent(new.mean()), percent(new.max()), percent(old.mean()), percent(old.max()))
        yield (harmful, percent(loss), len(found), *ends)


def power() -> Iterator[Line]:
    """How many harmful rows until a file that is as good ships, the severities' rule included."""
    yield ("texts that change, each way", "recall, false alarms", "harmful rows (as many harmless)")
    for flips, (recall, alarms) in itertools.product(
        (0, 0.002, 0.005, 0.01), ((1.0, 0.0), (0.9, 0.05), (0.8, 0.2))
    ):
        if flips and recall == 1:
            continue  # nothing to exchange: what is right cannot go the other way
        rows = next((n for n in _steps() if _chance(n, flips, recall, alarms) >= 0.8), None)
        yield (percent(flips), f"{percent(recall)}, {percent(alarms)}", rows or "more than 20,000")


def _steps() -> Iterator[int]:
    return (round(100 * 1.1**n) for n in range(56))


def _chance(rows: int, flips: float, recall: float, alarms: float) -> float:
    """The share of draws that ship: what is right may go wrong, and as much the other way."""
    rng = np.random.default_rng(rows)
    on_harmful = _both_ways(recall, flips)
    on_harmless = _both_ways(alarms, flips)
    tables = np.hstack(
        [rng.multinomial(rows, on_harmless, size=50), rng.multinomial(rows, on_harmful, size=50)]
    )
    good = []
    for table in tables.tolist():
        same = rate(2 * rows - table[1] - table[2] - table[5] - table[6], 2 * rows, tail_of(1))
        good.append(same is not None and same.low >= SAME and ships(tuple(table)))
    return float(np.mean(good))


def _both_ways(share: float, flips: float) -> list[float]:
    moved = min(flips, share, 1 - share)
    return [1 - share - moved, moved, moved, share - moved]


def groups() -> Iterator[Line]:
    """Files that lose one point, where rows of a group go the same way."""
    yield ("groups", "sizes", "correlation", "with --group", "without")
    rng = np.random.default_rng(4)
    kinds: dict[str, Callable[[int], NDArray[np.int64]]] = {
        "5": lambda count: np.full(count, 5),
        "1 or 10": lambda count: rng.choice([1, 10], count),
        "1 to 500, Pareto": lambda count: np.clip(3 * rng.pareto(1.2, count), 1, 500).astype(int),
    }
    missed = 2 * MARGIN / (1 + MARGIN)
    for count, name, icc in itertools.product((5, 30, 100, 300), kinds, (0, 0.3, 1)):
        wrong = []
        for _ in range(DRAWS):
            sizes = kinds[name](count)
            units = np.repeat(np.arange(count), sizes)
            lost = by_groups(rng, sizes, missed, icc)
            truth = np.ones(len(units), dtype=bool)
            wrong.append(
                [
                    passes(f1_difference(paired(truth, truth, ~lost, by), tail_of(1)))
                    for by in (units, None)
                ]
            )
        yield (count, name, icc, *(percent(share) for share in np.mean(wrong, axis=0)))


def figures() -> Iterator[Line]:
    """Both ends of the four figures, with and without groups."""
    yield ("rows", "worst of precision", "recall", "F1", "false alarms")
    rng = np.random.default_rng(5)
    chances = list(itertools.product((0.3, 0.8, 0.97), (0.02, 0.2, 0.5)))
    for harmful, harmless in itertools.product((2, 8, 30, 200), (5, 40, 300)):
        missed = [_missed(rng, harmful, harmless, *one, None) for one in chances]
        yield (f"{harmful} harmful, {harmless} harmless", *_worst(missed))
    for count, icc in itertools.product((3, 10, 40), (0, 0.3, 1)):
        missed = [_missed(rng, 3 * count, 3 * count, *one, icc) for one in chances]
        yield (f"{count} + {count} groups of 3, correlation {icc}", *_worst(missed))


def _worst(missed: Sequence[NDArray[np.float64]]) -> list[str]:
    return [percent(one) for one in np.max(missed, axis=0)]


def _missed(
    rng: np.random.Generator,
    harmful: int,
    harmless: int,
    recall: float,
    alarms: float,
    icc: float | None,
) -> NDArray[np.float64]:
    """How often the true figure lies outside its interval, over both ends."""
    truth = np.arange(harmful + harmless) < harmful
    tp, fp = harmful * recall, harmless * alarms
    true = (tp / (tp + fp), recall, 2 * tp / (tp + fp + harmful), alarms)
    units = None if icc is None else np.arange(len(truth)) // 3
    outside = np.zeros(4)
    draws = DRAWS if icc is not None else 10 * DRAWS
    for _ in range(draws):
        if icc is None:
            said = rng.random(len(truth)) < np.where(truth, recall, alarms)
        else:
            sizes = (np.full(harmful // 3, 3), np.full(harmless // 3, 3))
            both = [by_groups(rng, size, p, icc) for size, p in zip(sizes, (recall, alarms))]
            said = np.concatenate(both)
        outside += _outside(quality(truth, said, units), true)
    return outside / draws


def _outside(found: Quality, true: Sequence[float]) -> list[bool]:
    def misses(one: Estimate | None, value: float) -> bool:
        return one is not None and not one.low - 1e-9 <= value <= one.high + 1e-9

    estimates = (found.precision, found.recall, found.f1, found.false_alarm_rate)
    return [misses(one, value) for one, value in zip(estimates, true)]


def thresholds() -> Iterator[Line]:
    """How often the true rate of a threshold breaks the bound that calibrate prints."""
    yield ("scores", "false alarms ≤ 2 %", "false alarms ≤ 10 %", "recall ≥ 90 %")
    wanted = ((FALSE_ALARMS, 0.02), (FALSE_ALARMS, 0.1), (RECALL, 0.9))
    for times in (1, 3, 10):
        yield (
            "distinct" if times == 1 else f"distinct, each text {times} times",
            *(_broken(*one, times=times) for one in wanted),
        )
    for atoms in (3, 4, 6, 20):
        yield (f"of {atoms} values", *(_broken(*one, atoms=atoms) for one in wanted))
    for icc in (0, 0.5, 1):
        yield (
            f"40 groups of 5, {100 * icc:g} % share the group's",
            *(_broken(*o, shared=icc) for o in wanted),
        )


def _broken(
    target: str, wanted: float, times: int = 1, atoms: int = 0, shared: float | None = None
) -> str:
    rng = np.random.default_rng(6)
    broken, runs = 0, 0
    for _ in range(DRAWS):
        scores = [rng.beta(0.5, 5, 200), rng.beta(5, 1, 200)]
        groups = None
        if atoms:
            scores = [np.ceil(one * atoms) / atoms for one in scores]
        if shared is not None:
            # One score for the group, or one for the row: how often it is the group's.
            groups = (np.arange(400) // 5).tolist()
            of_groups = [np.repeat(rng.beta(a, b, 40), 5) for a, b in ((0.5, 5.0), (5.0, 1.0))]
            scores = [
                np.where(rng.random(200) < shared, theirs, own)
                for theirs, own in zip(of_groups, scores)
            ]
        rows = scored(*(one.tolist() for one in scores), times=times, groups=groups)
        try:
            found = find_threshold(rows, STRICT, target, wanted)
        except InputError:
            continue
        runs += 1
        value = found.value if not atoms else (np.ceil(found.value * atoms) - 1) / atoms
        if target == FALSE_ALARMS:
            broken += beta.sf(value, 0.5, 5) > found.bound + 1e-9
        else:
            broken += beta.sf(value, 5, 1) < found.bound - 1e-9
    return percent(broken / DRAWS) if runs == DRAWS else f"{percent(broken / DRAWS)} ({runs} runs)"


PARTS: tuple[tuple[str, str, Callable[[], Iterator[Line]]], ...] = (
    (
        "The rule to ship, where files only miss",
        "The chance that a file passes, which is too much worse; 5 % is the promise. No draws: a "
        "sum over all that can be seen.",
        issue,
    ),
    (
        "The rule to ship, at the margin and beyond",
        f"The share of {DRAWS} draws in which the F1 of a file that truly loses one point, or "
        "two, lets it pass. Settings: half to twenty times as many harmless rows, the first's "
        "recall 60 to 100 %, its false alarms 0 to 30 %, none to half of its mistakes made good by "
        "the other, losses by misses, by false alarms, or both. Nominal are 2.5 %, up to 6.5 % lie "
        "within what chance does to one setting.",
        ship_rule,
    ),
    (
        "How many rows it takes",
        "Two files that are equally good ship in 80 % of draws from so many harmful rows on, by "
        "the F1 of one policy and the 97 % of severities.",
        power,
    ),
    (
        "The rule to ship, rows in groups",
        "The share of draws in which a file that truly loses one point passes. Correlation 1: "
        "all rows of a group go the same way. Nominal are 2.5 %, up to 6.5 % lie within chance.",
        groups,
    ),
    (
        "Precision, recall, F1, false alarms",
        f"How often the true figure lies outside its interval of 95 %; the worst of nine pairs of "
        f"recall and false alarms. Up to 6.6 % lie within chance of {10 * DRAWS:,} draws of "
        f"independent rows, up to 10.5 % of {DRAWS} draws of groups.",
        figures,
    ),
    (
        "calibrate",
        f"How often the true rate breaks the bound of 95 %, of {DRAWS} runs with 200 texts in each "
        "class. Up to 10.5 % lie within chance.",
        thresholds,
    ),
)


def main() -> None:
    blocks = []
    for title, about, part in PARTS:
        header, *lines = part()
        table = [header, ["---"] * len(header), *lines]
        rows = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in table)
        blocks.append(f"## {title}\n\n{about}\n\n{rows}\n")
        print(blocks[-1], file=sys.stderr, flush=True)
    RESULTS.write_text(
        "# Do the intervals hold?\n\n`python benchmarks/coverage.py` makes this file by "
        f"edgeguard's own functions. {machine.describe()}.\n\n" + "\n".join(blocks),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
