"""Finds a threshold for a wanted false-alarm rate or recall, on judged rows.

The threshold is put between two observed scores, at the last place where the observed rate is still
the wanted one. The rate on other texts is uncertain, so a bound is given. It is the bound of the
rank that was asked for (a tolerance limit after Wilks 1941). It holds for any distribution of
scores, even with ties, and although the threshold was chosen on the same rows.

A text counts once in each class, however often it occurs; one that is labelled both ways counts in
both. If rows are grouped, the bound takes the groups as independent. Rows with several windows are
left out, because a verdict has the probabilities of the worst window alone. This module saves
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgeguard.errors import InputError
from edgeguard.evaluation.intervals import (
    CONFIDENCE,
    Estimate,
    Quality,
    lower_bound,
    quality,
    share_of,
    upper_bound,
)
from edgeguard.evaluation.judging import Judged
from edgeguard.evaluation.metrics import evidence_of, truth_and_score
from edgeguard.evaluation.resampling import profiles_from
from edgeguard.evaluation.rows import Row
from edgeguard.evaluation.units import distinct, units_of
from edgeguard.policy import Policy
from edgeguard.policy.decision import probability_of
from edgeguard.protocol.names import CATEGORIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T = TypeVar("_T")

FALSE_ALARMS = "false_alarms"
RECALL = "recall"
LEAST_OF_CATEGORY = 10
"""A category with fewer harmful rows gets no threshold of its own."""
_ROUNDING = 1e-9
"""Tolerance for rounding: 0.02 of 150 rows is 3 rows, whatever the product's last bit."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, its figures on the texts it was found on, and its bound.

    ``bound`` is the rate that, with 95 % confidence, false alarms do not exceed, or recall does not
    fall below, on other texts of the same kind. The interval of the rate that was asked for ends
    there, and is open on the other side. ``texts`` are those that counted.
    """

    value: float
    harmless: int
    harmful: int
    false_alarms: int
    hits: int
    bound: float
    false_alarm_rate: Estimate
    recall: Estimate
    texts: tuple[Judged, ...]


def find_threshold(judged: Sequence[Judged], base: Policy, target: str, wanted: float) -> Threshold:
    """The threshold on the score of ``base`` that gives a rate of FALSE_ALARMS or RECALL.

    Raises InputError if the rate is out of range, if the rows are of one class or too few for it,
    and if only flagging everything or nothing would give it.
    """
    texts = texts_for([one for one in judged if one.verdict.windows == 1], base, _row_of)
    return _found(texts, *truth_and_score(texts, base), target, wanted)


def find_by_category(
    judged: Sequence[Judged], base: Policy, target: str, wanted: float
) -> dict[str, Threshold | str]:
    """For each category, the threshold on its probability for the rate, or why it has none.

    The harmful rows of a category are those in which it may be named; the harmless rows are the
    same for all. The verdicts must have the categories' probabilities.
    """
    single = [one for one in judged if one.verdict.windows == 1]
    found: dict[str, Threshold | str] = {}
    for category in CATEGORIES:
        rows = [
            one
            for one in single
            if one.row.label not in base.harmful or category in one.row.categories
        ]
        try:
            found[category] = _of_category(
                texts_for(rows, base, _row_of), base, category, target, wanted
            )
        except InputError as error:
            found[category] = str(error)
    return found


def _of_category(
    texts: list[Judged], base: Policy, category: str, target: str, wanted: float
) -> Threshold:
    import numpy as np

    truth, _ = truth_and_score(texts, base)
    if truth.sum() < LEAST_OF_CATEGORY:
        raise InputError(
            f"{int(truth.sum())} harmful rows, and fewer than {LEAST_OF_CATEGORY} say nothing"
        )
    score = [probability_of(base, evidence_of(one.verdict), category) for one in texts]
    clipped = np.clip(np.array(score, dtype=np.float64), 0, 1)
    found = _found(texts, truth, clipped, target, wanted)
    if found.value > 1:
        raise InputError("no probability up to 1 keeps to that rate")
    return found


def _found(
    texts: Sequence[Judged],
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    target: str,
    wanted: float,
) -> Threshold:
    harmful, harmless = int(truth.sum()), int((~truth).sum())
    check_counts(harmful, harmless, target, wanted)
    mine = truth == (target == RECALL)
    rank = _rank(target, wanted, int(mine.sum()))
    value = _value(score, score[mine], target, rank)
    hits = int((score[truth] >= value).sum())
    alarms = int((score[~truth] >= value).sum())
    if not hits or value <= 0:
        every = "every" if hits else "no"
        raise InputError(
            f"the model cannot give that on these rows: the threshold would flag {every} row; "
            "ask for another rate"
        )
    groups = units_of([one for one, is_mine in zip(texts, mine) if is_mine])
    bound = _bound(score[mine], groups, target, rank)
    rates = _rates(quality(truth, score >= value, units_of(texts)), target, bound)
    return Threshold(value, harmless, harmful, alarms, hits, bound, *rates, tuple(texts))


def texts_for(items: Iterable[_T], base: Policy, row_of: Callable[[_T], Row]) -> list[_T]:
    """The items that count: for each text with a known label the first one, in each class."""

    def key(item: _T) -> tuple[str, bool]:
        row = row_of(item)
        return row.text, row.label in base.harmful

    return distinct((item for item in items if row_of(item).label is not None), key)


def check_counts(harmful: int, harmless: int, target: str, wanted: float) -> None:
    """Check, before anything is judged, that there are enough rows for a rate.

    Raises InputError if the rate is out of range, and if the rows are of one class or too few.
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


def _row_of(one: Judged) -> Row:
    return one.row


def _rank(target: str, wanted: float, count: int) -> int:
    """How many rows of the class, from the highest score down, may or must be flagged."""
    if target == FALSE_ALARMS:
        return math.floor(wanted * count + _ROUNDING)
    return math.ceil(wanted * count - _ROUNDING)


def _edge(mine: NDArray[np.float64], target: str, rank: int) -> float:
    """The highest score that must not be flagged, or the lowest that must."""
    import numpy as np

    return float(np.sort(mine)[::-1][rank if target == FALSE_ALARMS else rank - 1])


def _value(scores: NDArray[np.float64], mine: NDArray[np.float64], target: str, rank: int) -> float:
    beside = _above if target == FALSE_ALARMS else _below
    return beside(scores, _edge(mine, target, rank))


def _rates(found: Quality, target: str, bound: float) -> tuple[Estimate, Estimate]:
    """False alarms and recall; the interval of the wanted one ends at its bound."""
    alarms, recall = found.false_alarm_rate, found.recall
    assert alarms is not None and recall is not None
    if target == FALSE_ALARMS:
        return Estimate(alarms.value, 0.0, bound), recall
    return alarms, Estimate(recall.value, bound, 1.0)


def _bound(
    mine: NDArray[np.float64], groups: NDArray[np.int64] | None, target: str, rank: int
) -> float:
    """The bound of a rank. Among scores that tie with the edge, only a part counts as flagged."""
    import numpy as np

    if groups is None:
        bound = upper_bound if target == FALSE_ALARMS else lower_bound
        return bound(rank, len(mine))
    edge = _edge(mine, target, rank)
    above, equal = mine > edge, mine == edge
    part = above + equal * (rank - above.sum()) / equal.sum()
    table = np.array([np.bincount(groups, weights=1 - part), np.bincount(groups, weights=part)])
    found = share_of(profiles_from(table.T), 1 - CONFIDENCE)
    return found.high if target == FALSE_ALARMS else found.low


def _above(scores: NDArray[np.float64], score: float) -> float:
    """Halfway between a score and the next higher one; above 1 if there is none."""
    import numpy as np

    higher = scores[scores > score]
    if not len(higher):
        return 2.0
    middle = (score + float(np.min(higher))) / 2
    return middle if middle > score else float(np.min(higher))


def _below(scores: NDArray[np.float64], score: float) -> float:
    """Halfway between a score and the next lower one; the score itself if there is none."""
    import numpy as np

    lower = scores[scores < score]
    if not len(lower):
        return score
    middle = (score + float(np.max(lower))) / 2
    return middle if middle > float(np.max(lower)) else score
