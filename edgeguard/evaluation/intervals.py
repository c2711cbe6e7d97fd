"""Intervals of 95 %: exact ones for rates and F1, bootstrap ones for differences of F1.

A rate (precision, recall, false alarms) gets the Clopper-Pearson interval. So does F1, since
F1 = 2J / (1 + J) grows with J = TP / (TP + FP + FN), which is a rate among the rows that are no
true negatives (Hand, Christen and Kirielle 2021, arXiv:2008.00103, call it F*): it needs no
resampling, and is not empty where the model is right or wrong throughout. A difference of F1 on
the same rows gets a percentile bootstrap; since it depends on counts of cells alone, those are
drawn directly, from the multinomial distribution that resampling rows has.

All take rows as independent: rows made from one template say less than they seem to. This module
knows no severity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0

METHOD = (
    f"Intervals of {100 * CONFIDENCE:.0f} %: Clopper-Pearson, for F1 through the rate "
    "TP / (TP + FP + FN). Rows are taken as independent."
)
METHOD_OF_DIFFERENCES = (
    f"Intervals of differences: percentile bootstrap over rows, {RESAMPLES:,} resamples, "
    f"seed {SEED}."
)


@dataclass(frozen=True)
class Estimate:
    """A figure from 0 to 1, or a difference from -1 to 1, with the ends of its interval."""

    value: float
    low: float
    high: float


def rate(part: int, whole: int) -> Estimate | None:
    """``part`` of ``whole`` with its Clopper-Pearson interval; None of nothing."""
    from scipy.stats import binomtest

    if whole == 0:
        return None
    interval = binomtest(part, whole).proportion_ci(CONFIDENCE, method="exact")
    return Estimate(part / whole, float(interval.low), float(interval.high))


def upper_bound(part: int, whole: int) -> float:
    """The one-sided Clopper-Pearson bound: with 95 % confidence the rate is not above it."""
    from scipy.stats import binomtest

    result = binomtest(part, whole, alternative="less")
    return float(result.proportion_ci(CONFIDENCE, method="exact").high)


def lower_bound(part: int, whole: int) -> float:
    """The one-sided Clopper-Pearson bound: with 95 % confidence the rate is not below it."""
    from scipy.stats import binomtest

    result = binomtest(part, whole, alternative="greater")
    return float(result.proportion_ci(CONFIDENCE, method="exact").low)


def f1_estimate(tp: int, fp: int, fn: int) -> Estimate | None:
    """F1 with its exact interval; None where no row is harmful."""
    jaccard = rate(tp, tp + fp + fn) if tp + fn else None
    if jaccard is None:
        return None
    ends = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(*ends)


def f1_difference(
    truth: NDArray[np.bool_], first: NDArray[np.bool_], other: NDArray[np.bool_]
) -> Estimate | None:
    """F1 of ``other`` minus F1 of ``first`` on the same rows, all (rows,) bool; paired bootstrap.

    None where no row is harmful.
    """
    import numpy as np

    if not truth.any():
        return None
    kind = truth * 4 + first * 2 + other
    counts = np.bincount(kind, minlength=8)
    value = _difference(counts[None, :].astype(np.int64))[0]
    return _estimate(float(value), _difference(_resampled(counts.tolist())))


def _difference(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cells are ordered by truth, first, other: column 6 is harmful and found by the first only."""
    c = cells.T
    first = _f1(c[6] + c[7], c[2] + c[3], c[4] + c[5])
    other = _f1(c[5] + c[7], c[1] + c[3], c[4] + c[6])
    return other - first


def _f1(tp: NDArray[np.int64], fp: NDArray[np.int64], fn: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each; 1 where nothing is harmful and nothing is flagged, as nothing went wrong."""
    import numpy as np

    whole = 2 * tp + fp + fn
    return np.where(whole == 0, 1.0, 2 * tp / np.maximum(whole, 1))


def _resampled(counts: Sequence[int]) -> NDArray[np.int64]:
    """Counts of the cells in each resample of the rows: (RESAMPLES, cells)."""
    import numpy as np

    total = sum(counts)
    shares = np.array(counts, dtype=np.float64) / total
    return np.random.default_rng(SEED).multinomial(total, shares, size=RESAMPLES)


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
