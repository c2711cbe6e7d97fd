"""Which file to ship: the reasons against a file, and how many rows would settle it.

"With 95 % confidence" means that at most 5 % of such comparisons ship a file that breaks the rule,
however few the rows and however many the files. This module judges nothing and computes no
interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from edgeguard.evaluation.intervals import (
    CONFIDENCE,
    TAIL,
    Estimate,
    f1_difference,
    least_harmful,
    share_of,
    times_needed,
)
from edgeguard.evaluation.resampling import RESAMPLES, SEED
from edgeguard.policy import OFFICIAL

if TYPE_CHECKING:
    from edgeguard.evaluation.resampling import Profiles

MARGIN = 0.01
"""The most that F1 may be worse than the first file's: one point."""

SAME = 0.97
"""At least this share of the texts must keep the severity that the first file gives them."""

RULE = (
    f"Ship the smallest file that with {100 * CONFIDENCE:g} % confidence loses less than "
    f"{100 * MARGIN:g} point of F1 against the first, under {' and under '.join(OFFICIAL)}, and "
    f"gives at least {100 * SAME:g} % of the texts the first one's severity; else the first."
)


def tail_of(others: int) -> float:
    """The probability beyond the end that the rule reads: several files share the 5 %."""
    return min(TAIL, (1 - CONFIDENCE) / max(others, 1))


def method_of_differences(tail: float) -> str:
    """How the intervals of a comparison are computed, in words."""
    choice = "" if tail == TAIL else ", so that the choice among all files holds with 95 %"
    return (
        f"Intervals of differences are of {100 * (1 - 2 * tail):.3g} %{choice}: a Bayesian "
        "bootstrap with one more row, or group of rows, that one of the two gets wrong "
        f"({RESAMPLES:,} draws, seed {SEED}), which holds without any row that differs."
    )


def reasons_against(
    f1: Mapping[str, Estimate | None],
    flags: Mapping[str, Profiles],
    same: Estimate,
    severities: Profiles,
    tail: float,
) -> Iterator[str]:
    """The reasons against shipping a file; ``flags`` are `paired` by policy, as is ``f1``."""
    for name, estimate in f1.items():
        if estimate is None:
            least = least_harmful(MARGIN, tail)
            yield f"no row is harmful under {name}, so F1 is unknown: some {least} are needed"
        elif estimate.low <= -MARGIN:
            worse = f"{name} F1 may be {-100 * estimate.low:.1f} points worse"
            yield worse + _settled_f1(estimate, flags[name], tail)
    if same.low < SAME:
        only = f"only {100 * same.low:.1f} % of severities are sure to stay"
        yield only + _settled_share(same, severities, tail)


def _settled_f1(estimate: Estimate, found: Profiles, tail: float) -> str:
    def enough(times: float) -> bool:
        again = f1_difference(found.times(times), tail)
        return again is not None and again.low > -MARGIN

    rows = float(found.cells[:, 4:].sum(axis=1) @ found.counts)
    times = times_needed(enough) if estimate.value > -MARGIN else None
    return _settled(times, rows, "harmful rows")


def _settled_share(same: Estimate, found: Profiles, tail: float) -> str:
    rows = float(found.cells.sum(axis=1) @ found.counts)
    times = (
        times_needed(lambda times: share_of(found.times(times), tail).low >= SAME)
        if same.value > SAME
        else None
    )
    return _settled(times, rows, "rows")


def _settled(times: float | None, rows: float, what: str) -> str:
    if times is None:
        return ""
    return f" (some {math.ceil(times * rows):,} {what} like these would settle it, not {rows:,.0f})"
