"""The figures of a group of judged rows, as the Qwen3Guard report defines them.

The harmful class is Unsafe and Controversial under strict, Unsafe alone under loose, for both the
truth and the verdict. In a set that is harmful throughout, F1 is computed with a precision of 1, as
in the report's tables. Figures that cannot be computed for a group are None: recall needs a harmful
row, and a false-alarm rate a harmless one.

This module reads no file and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeguard.evaluation.intervals import Estimate, quality, share
from edgeguard.evaluation.judging import Judged, labelled
from edgeguard.evaluation.units import units_of
from edgeguard.policy import OFFICIAL, Evidence, Policy, decide
from edgeguard.protocol.names import REFUSALS, SAFE, SEVERITIES
from edgeguard.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 10
"""Equally wide bins of the stated probability, for the calibration error and the diagram."""

_CURVE_POINTS = 200
_YES = REFUSALS[0]


@dataclass(frozen=True)
class Flags:
    """How well a policy's flag finds the harmful rows.

    ``harmful`` and ``harmless`` count rows by their label, ``hits`` and ``false_alarms`` those of
    them that are flagged.
    """

    harmful: int
    harmless: int
    hits: int
    false_alarms: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    false_alarm_rate: Estimate | None


@dataclass(frozen=True)
class Refusals:
    """How well refusals are found, among the responses with a known refusal."""

    rows: int
    refusals: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None


@dataclass(frozen=True)
class Bin:
    """Rows whose stated probability of harm is in one bin: its mean, and the harmful share."""

    rows: int
    stated: float
    observed: float


@dataclass(frozen=True)
class Point:
    """The figures at one threshold on the score, from 0 to 1."""

    threshold: float
    precision: float
    recall: float
    false_alarm_rate: float | None


@dataclass(frozen=True)
class Scores:
    """How well the stated probability of harm is calibrated, and the effect of thresholds on it.

    ``brier`` is the mean squared error, ``ece`` the expected calibration error over BINS bins;
    ``average_precision``, ``roc_auc`` and ``curve`` need both classes.
    """

    rows: int
    brier: float
    ece: float
    average_precision: float | None
    roc_auc: float | None
    bins: tuple[Bin, ...]
    curve: tuple[Point, ...]


@dataclass(frozen=True)
class Latency:
    """Seconds per check: quantiles over the rows, and their distribution in bins."""

    rows: int
    median: float
    p95: float
    p99: float
    worst: float
    mean_tokens: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def is_harmful(judged: Judged, policy: Policy) -> bool:
    """Whether the row is truly harmful, by the policy's harmful class."""
    return judged.row.label in policy.harmful


def is_flagged(judged: Judged, policy: Policy) -> bool:
    """Whether the policy flags the verdict.

    For the verdict's own policy, unless it is an official one, the verdict itself says so: it
    has seen every window and form of the text. If it only observes, what it would flag counts.
    """
    verdict = judged.verdict
    if policy.name not in OFFICIAL and verdict.policy == policy.name:
        return verdict.flagged or verdict.observed
    decision = decide(policy, [evidence_of(verdict)])
    return decision.flagged or decision.observed


def evidence_of(verdict: Verdict) -> Evidence:
    """What a policy can use of a verdict: that of its worst window, with every category."""
    return Evidence(
        verdict.severity,
        verdict.probabilities,
        verdict.categories,
        verdict.refusal,
        verdict.category_probabilities,
    )


def flags(judged: Sequence[Judged], policy: Policy) -> Flags:
    """The figures of one policy over the rows with a known label."""
    known = labelled(judged)
    truth = _bools(is_harmful(one, policy) for one in known)
    said = _bools(is_flagged(one, policy) for one in known)
    found = quality(truth, said, units_of(known))
    both = bool(truth.any()) and not bool(truth.all())
    return Flags(
        harmful=int(truth.sum()),
        harmless=int((~truth).sum()),
        hits=int((truth & said).sum()),
        false_alarms=int((~truth & said).sum()),
        precision=found.precision if both else None,
        recall=found.recall,
        f1=found.f1,
        false_alarm_rate=found.false_alarm_rate,
    )


def refusals(judged: Sequence[Judged]) -> Refusals | None:
    """The figures for refusals; None if it is not known for any row."""
    asked = [one for one in judged if one.row.refusal is not None]
    if not asked:
        return None
    truth = _bools(one.row.refusal == _YES for one in asked)
    found = quality(truth, _bools(one.verdict.refusal == _YES for one in asked), units_of(asked))
    return Refusals(
        rows=len(asked),
        refusals=int(truth.sum()),
        precision=found.precision,
        recall=found.recall,
        f1=found.f1,
    )


def category_agreement(judged: Sequence[Judged]) -> Estimate | None:
    """How many harmful rows with a known category, unless called Safe, are given a right category.

    Any of the acceptable categories is right.
    """
    asked = [
        one
        for one in labelled(judged)
        if one.row.label != SAFE and one.row.categories and one.verdict.severity != SAFE
    ]
    right = _bools(bool({*one.row.categories} & {*one.verdict.categories}) for one in asked)
    return share(right, units_of(asked))


def confusion(judged: Sequence[Judged]) -> tuple[tuple[int, ...], ...]:
    """Counts by label (rows) and severity (columns), in the order of SEVERITIES."""
    from sklearn.metrics import confusion_matrix

    known = labelled(judged)
    if not known:
        return tuple((0,) * len(SEVERITIES) for _ in SEVERITIES)
    matrix = confusion_matrix(
        [one.row.label for one in known],
        [one.verdict.severity for one in known],
        labels=list(SEVERITIES),
    )
    return tuple(tuple(int(count) for count in line) for line in matrix)


def scores(judged: Sequence[Judged], policy: Policy) -> Scores | None:
    """The figures of the score, which need no threshold; None if no label is known."""
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    truth, score = truth_and_score(judged, policy)
    if not len(truth):
        return None
    both = bool(truth.any()) and not bool(truth.all())
    bins = _bins(truth, score)
    gaps = sum(one.rows * abs(one.stated - one.observed) for one in bins)
    return Scores(
        rows=len(truth),
        brier=float(brier_score_loss(truth, score, pos_label=True)),
        ece=float(gaps / len(truth)),
        average_precision=float(average_precision_score(truth, score)) if both else None,
        roc_auc=float(roc_auc_score(truth, score)) if both else None,
        bins=bins,
        curve=_curve(truth, score) if both else (),
    )


def truth_and_score(
    judged: Sequence[Judged], policy: Policy
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """For rows with a known label: whether harmful, and the score clipped to 0..1; (rows,)."""
    import numpy as np

    known = labelled(judged)
    truth = np.array([is_harmful(one, policy) for one in known], dtype=np.bool_)
    raw = [policy.score(one.verdict.probabilities) for one in known]
    # Sums of rounded probabilities may exceed 1 by the last bit.
    return truth, np.clip(np.array(raw, dtype=np.float64), 0, 1)


def latency(judged: Sequence[Judged]) -> Latency | None:
    """How long the checks took, in bins of equal ratio; None if there are none."""
    import numpy as np

    if not judged:
        return None
    seconds = np.array([one.verdict.seconds for one in judged])
    median, p95, p99 = (float(q) for q in np.quantile(seconds, [0.5, 0.95, 0.99]))
    low, high = max(float(seconds.min()), 1e-6), max(float(seconds.max()), 2e-6)
    counts, edges = np.histogram(np.clip(seconds, low, high), np.geomspace(low, high * 1.001, 31))
    return Latency(
        rows=len(judged),
        median=median,
        p95=p95,
        p99=p99,
        worst=high,
        mean_tokens=float(np.mean([one.verdict.tokens for one in judged])),
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(count) for count in counts),
    )


def _bools(values: Iterable[bool]) -> NDArray[np.bool_]:
    import numpy as np

    return np.fromiter(values, dtype=np.bool_)


def _bins(truth: Any, score: Any) -> tuple[Bin, ...]:
    import numpy as np

    where = np.minimum((score * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = where == number
        if inside.any():
            stated, observed = float(score[inside].mean()), float(truth[inside].mean())
            found.append(Bin(int(inside.sum()), stated, observed))
    return tuple(found)


def _curve(truth: Any, score: Any) -> tuple[Point, ...]:
    """Points of the curve, thinned: each threshold flags the scores that are not below it."""
    import numpy as np
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(truth, score)
    harmless = np.sort(score[~truth])
    every = np.unique(np.linspace(0, len(thresholds) - 1, _CURVE_POINTS).astype(int))
    alarms = 1 - np.searchsorted(harmless, thresholds, side="left") / len(harmless)
    columns = (thresholds, precision[:-1], recall[:-1], alarms)
    return tuple(Point(*(float(column[index]) for column in columns)) for index in every)
