"""Intervals of 95 % for rates, precision, recall and F1, and for differences of F1.

For independent rows, a rate gets the Clopper-Pearson interval. So does F1, because
F1 = 2J / (1 + J) increases with J = TP / (TP + FP + FN), which is a rate among the rows that are
not true negatives (Hand, Christen and Kirielle 2021, arXiv:2008.00103, call it F*). For grouped
rows, and for a difference of F1 on the same rows, `edgeguard.evaluation.resampling` computes the
ends; where both methods apply, they agree. All of them hold at small counts too.

Units are group numbers, one per row; None means that rows are independent. This module knows no
severity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeguard.evaluation.resampling import Profiles, bounds, profiles_of, typical_groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeguard.evaluation.resampling import Figure

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
"""The probability beyond each end."""

_TN, _FP, _FN, _TP = range(4)
_LOST, _WON, _ALARM, _QUIET = 6, 5, 1, 2
"""The cells, numbered truth * 4 + first * 2 + other, that only one of the two gets right."""

_MOST = 1e6
"""More than so many times the rows would not be useful advice."""


@dataclass(frozen=True)
class Estimate:
    """A figure from 0 to 1, or a difference from -1 to 1, with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How well a flag finds what is true; None if there is nothing to count."""

    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    false_alarm_rate: Estimate | None


def rate(part: int, whole: int, tail: float = TAIL) -> Estimate | None:
    """A rate among independent rows, with the Clopper-Pearson interval; None if there are none."""
    if whole == 0:
        return None
    return Estimate(part / whole, _lower(part, whole, tail), _upper(part, whole, tail))


def upper_bound(part: int, whole: int) -> float:
    """The one-sided Clopper-Pearson bound: with 95 % confidence the rate is not above it."""
    return _upper(part, whole, 1 - CONFIDENCE)


def lower_bound(part: int, whole: int) -> float:
    """The one-sided Clopper-Pearson bound: with 95 % confidence the rate is not below it."""
    return _lower(part, whole, 1 - CONFIDENCE)


def f1_estimate(tp: int, fp: int, fn: int) -> Estimate | None:
    """F1 over independent rows with its exact interval; None if no row is harmful."""
    jaccard = rate(tp, tp + fp + fn) if tp + fn else None
    if jaccard is None:
        return None
    ends = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(*ends)


def share(
    part: NDArray[np.bool_], units: NDArray[np.int64] | None = None, tail: float = TAIL
) -> Estimate | None:
    """The share of rows that are True; None if there are no rows."""
    if units is None or not len(part):
        return rate(int(part.sum()), len(part), tail)
    return share_of(profiles_of(part.astype(int), units, 2), tail)


def share_of(found: Profiles, tail: float = TAIL) -> Estimate:
    """The share of the second of two cells, over groups."""
    import numpy as np

    ((size,),) = typical_groups(found, [[0, 1]])
    extras = [np.array([size, 0.0]), np.array([0.0, size])]
    return _estimates(found, extras, [_ratio([1], [0])], tail)[0]


def quality(
    truth: NDArray[np.bool_], said: NDArray[np.bool_], units: NDArray[np.int64] | None = None
) -> Quality:
    """The figures of a flag against the truth, (rows,) each."""
    import numpy as np

    cell = truth * 2 + said
    tn, fp, fn, tp = (int(count) for count in np.bincount(cell, minlength=4))
    if units is None or not len(cell):
        f1 = f1_estimate(tp, fp, fn)
        return Quality(rate(tp, tp + fp), rate(tp, tp + fn), f1, rate(fp, fp + tn))
    found = profiles_of(cell, units, 4)
    figures = [_ratio([_TP], [_FP]), _ratio([_TP], [_FN]), _f1_of, _ratio([_FP], [_TN])]
    wholes = (tp + fp, tp + fn, tp + fn, fp + tn)
    extras = [
        np.array(extra)
        for harmful, harmless in typical_groups(found, [[_FN, _TP], [_TN, _FP]])
        for extra in ([0, harmless, harmful, 0], [harmless, 0, 0, harmful])
    ]
    estimates = _estimates(found, extras, figures, TAIL)
    return Quality(*(one if whole else None for one, whole in zip(estimates, wholes)))


def paired(
    truth: NDArray[np.bool_],
    first: NDArray[np.bool_],
    other: NDArray[np.bool_],
    units: NDArray[np.int64] | None = None,
) -> Profiles:
    """The results of two flags on the same rows, (rows,) bool each, for a difference of F1."""
    return profiles_of(truth * 4 + first * 2 + other, units, 8)


def f1_difference(found: Profiles, tail: float = TAIL) -> Estimate | None:
    """F1 of the other flag minus F1 of the first; None if no row is harmful."""
    import numpy as np

    if not found.cells[:, 4:].any():
        return None
    extras = []
    for harmful, harmless in typical_groups(found, [range(4, 8), range(4)]):
        for cells in ((_LOST, _ALARM), (_WON, _QUIET)):
            extra = np.zeros(8)
            extra[list(cells)] = harmful, harmless
            extras.append(extra)
    return _estimates(found, extras, [_difference], tail)[0]


def least_harmful(margin: float, tail: float = TAIL) -> int:
    """How many harmful rows are needed to exclude a loss of F1 of ``margin``, without any error."""
    # the share of harmful rows that must be missed to lose the margin
    missed = 2 * margin / (1 + margin)
    return math.ceil(math.log(tail) / math.log(1 - missed))


def times_needed(enough: Callable[[float], bool]) -> float | None:
    """How many times as many rows would be enough, to about 3 %; None if no number would."""
    high = 1.0
    while not enough(high):
        high *= 2
        if high > _MOST:
            return None
    low = high / 2
    while high / low > 1.03:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _lower(part: int, whole: int, tail: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(part, whole - part + 1, tail)) if part else 0.0


def _upper(part: int, whole: int, tail: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(part + 1, whole - part, 1 - tail)) if part < whole else 1.0


def _estimates(
    found: Profiles,
    extras: Sequence[NDArray[np.float64]],
    figures: Sequence[Figure],
    tail: float,
) -> list[Estimate]:
    sums = (found.counts @ found.cells)[None, :]
    values = [float(figure(sums)[0]) for figure in figures]
    ends = bounds(found, extras, figures, tail)
    return [Estimate(v, min(v, low), max(v, high)) for v, (low, high) in zip(values, ends)]


def _ratio(part: list[int], rest: list[int]) -> Figure:
    def figure(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        top = cells[:, part].sum(axis=1)
        return _divided(top, top + cells[:, rest].sum(axis=1))

    return figure


def _divided(top: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient; 1 if there is nothing to divide, as nothing went wrong."""
    import numpy as np

    return np.divide(top, whole, out=np.ones_like(whole), where=whole > 0)


def _f1_of(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    tp = 2 * cells[:, _TP]
    return _divided(tp, tp + cells[:, _FP] + cells[:, _FN])


def _difference(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    c = cells.T
    first, other = 2 * (c[6] + c[7]), 2 * (c[5] + c[7])
    before = _divided(first, first + c[2] + c[3] + c[4] + c[5])
    return _divided(other, other + c[1] + c[3] + c[4] + c[6]) - before
