"""A threshold for a wanted false-alarm rate or recall, found on judged rows.

The threshold is put between two observed scores, at the last place where the observed rate keeps
to what was asked. What it will be on other texts is uncertain: a bound says how far. For scores in
one order a threshold at an observed score has exactly the Clopper-Pearson bound (a tolerance
limit after Wilks 1941), whatever their distribution, so choosing it on these rows costs nothing.

Rows of several windows are left out: a verdict holds the probabilities of the worst window alone.
This module saves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeguard.errors import InputError
from edgeguard.evaluation.intervals import lower_bound, upper_bound
from edgeguard.evaluation.judging import Judged
from edgeguard.evaluation.metrics import truth_and_score
from edgeguard.policy import Policy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FALSE_ALARMS = "false_alarms"
RECALL = "recall"
_ROUNDING = 1e-9
"""0.02 of 150 rows is 3 rows, whatever the last bit of the product says."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, what it flags of the rows it was found on, and the bound that goes with it.

    ``bound`` is the rate that, with 95 % confidence, false alarms do not exceed, or recall does
    not fall below, on other texts of the same kind.
    """

    value: float
    harmless: int
    harmful: int
    false_alarms: int
    hits: int
    bound: float


def find_threshold(judged: Sequence[Judged], base: Policy, target: str, wanted: float) -> Threshold:
    """The threshold on the score of ``base`` that gives a rate, as FALSE_ALARMS or RECALL.

    Raises InputError where the rate is out of range, where the rows are of one class or too few
    for it, and where only flagging everything or nothing would give it.
    """
    truth, score = truth_and_score([one for one in judged if one.verdict.windows == 1], base)
    harmful, harmless = int(truth.sum()), int((~truth).sum())
    check_counts(harmful, harmless, target, wanted)
    if target == FALSE_ALARMS:
        value = _above(score, _allowed(score[~truth], wanted))
    else:
        value = _below(score, _needed(score[truth], wanted))
    hits = int((score[truth] >= value).sum())
    alarms = int((score[~truth] >= value).sum())
    if not hits or value <= 0:
        every = "every" if hits else "no"
        raise InputError(
            f"the model cannot give that on these rows: the threshold would flag {every} row; "
            "ask for another rate"
        )
    bound = upper_bound(alarms, harmless) if target == FALSE_ALARMS else lower_bound(hits, harmful)
    return Threshold(value, harmless, harmful, alarms, hits, bound)


def check_counts(harmful: int, harmless: int, target: str, wanted: float) -> None:
    """See, before anything is judged, whether so many rows can give a rate.

    Raises InputError where the rate is out of range, and where the rows are of one class or too
    few for it.
    """
    if not 0 < wanted < 1:
        raise InputError(f"the wanted rate is {wanted:g}; it must be between 0 and 1, as in 0.02")
    for name, count in (("harmful", harmful), ("harmless", harmless)):
        if not count:
            raise InputError(
                f"the data has no {name} row in one window with a known label; a threshold needs "
                "both classes, or what it costs on the other side stays unknown"
            )
    if target == FALSE_ALARMS:
        _check_count("harmless", harmless, wanted)
    else:
        _check_count("harmful", harmful, 1 - wanted)


def _check_count(name: str, count: int, share: float) -> None:
    needed = math.ceil(1 / share - _ROUNDING)
    if count < needed:
        raise InputError(
            f"the data has {count:,} {name} rows, too few for that rate: a single row is more "
            f"than {share:.2%} of them; at least {needed:,} are needed"
        )


def _allowed(harmless: NDArray[np.float64], wanted: float) -> float:
    """The highest harmless score that must not be flagged."""
    import numpy as np

    flagged = math.floor(wanted * len(harmless) + _ROUNDING)
    return float(np.sort(harmless)[::-1][flagged])


def _needed(harmful: NDArray[np.float64], wanted: float) -> float:
    """The lowest harmful score that must be flagged."""
    import numpy as np

    flagged = math.ceil(wanted * len(harmful) - _ROUNDING)
    return float(np.sort(harmful)[::-1][flagged - 1])


def _above(scores: NDArray[np.float64], score: float) -> float:
    """Between a score and the next higher one; above 1 where there is none."""
    import numpy as np

    higher = scores[scores > score]
    if not len(higher):
        return 2.0
    middle = (score + float(np.min(higher))) / 2
    return middle if middle > score else float(np.min(higher))


def _below(scores: NDArray[np.float64], score: float) -> float:
    """Between a score and the next lower one; the score itself where there is none."""
    import numpy as np

    lower = scores[scores < score]
    if not len(lower):
        return score
    middle = (score + float(np.max(lower))) / 2
    return middle if middle > float(np.max(lower)) else score
