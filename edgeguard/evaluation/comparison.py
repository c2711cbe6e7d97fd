"""Compares model files on the same rows: what changes against the first, and which one to ship.

Rows that some model could not judge are left out everywhere. This module loads no model and draws
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgeguard.evaluation.intervals import Estimate, f1_difference, paired, share
from edgeguard.evaluation.judging import Failed, Judged, labelled
from edgeguard.evaluation.metrics import (
    Latency,
    Scores,
    is_flagged,
    is_harmful,
    latency,
    scores,
)
from edgeguard.evaluation.moves import Flip, TokenChange, moved
from edgeguard.evaluation.resampling import profiles_of
from edgeguard.evaluation.shipping import (
    RULE,
    method_of_differences,
    reasons_against,
    tail_of,
)
from edgeguard.evaluation.summary import Data, Group, group_of, method_of
from edgeguard.evaluation.units import units_of
from edgeguard.policy import OFFICIAL, STRICT, Policy
from edgeguard.protocol.names import SEVERITIES
from edgeguard.verdict import ModelId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Run:
    """The results of one model: its verdicts in the order of the rows, its file and its memory."""

    label: str
    model: ModelId
    size: int
    peak_memory: int | None
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class Change:
    """One file compared with the first, on the same rows.

    ``matrix`` counts texts by the first's severity (rows) and this one's (columns), in the order of
    SEVERITIES. A change of probabilities is the total variation distance, from 0 to 1, with its
    quantiles from the least to the worst; ``kl_mean`` and ``kl_worst`` are the Kullback-Leibler
    divergence of this one's probabilities from the first's, in nats. ``f1`` is the difference by
    policy; ``mcnemar`` the exact test's p-value for the flags that are right in one of the two.
    ``tokens``: the same for the tokens of responses, with a Qwen3Guard-Stream.
    """

    same_severity: Estimate
    same_answer: Estimate
    matrix: tuple[tuple[int, ...], ...]
    change_mean: float
    change_worst: float
    kl_mean: float
    kl_worst: float
    change_quantiles: tuple[float, ...]
    f1: dict[str, Estimate | None]
    mcnemar: dict[str, float]
    flips: tuple[Flip, ...]
    tokens: TokenChange | None


@dataclass(frozen=True)
class Compared:
    """One file with its figures; ``change`` is None for the first, ``reasons`` oppose shipping."""

    label: str
    model: ModelId
    size: int
    peak_memory: int | None
    latency: Latency
    groups: tuple[Group, ...]
    scores: Scores | None
    change: Change | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Several files on the same rows; ``ship`` is the label of the one that the rule chooses."""

    data: Data
    rows: int
    device: str
    models: tuple[Compared, ...]
    failed: tuple[Failed, ...]
    rule: str
    ship: str
    intervals: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for any serialiser."""
        return {**asdict(self), "severities": list(SEVERITIES)}


def compare(runs: Sequence[Run], data: Data, failed: Sequence[Failed]) -> Comparison:
    """Compute all figures; every run has the same rows in the same order, at least one."""
    tail = tail_of(len(runs) - 1)
    models = tuple(_compared(run, runs[0], tail) for run in runs)
    fit = [one for one in models if not one.reasons]
    return Comparison(
        data=data,
        rows=len(runs[0].judged),
        device=runs[0].judged[0].verdict.device,
        models=models,
        failed=tuple(failed),
        rule=RULE,
        ship=min(fit, key=lambda one: one.size).label,
        intervals=f"{method_of(data)} {method_of_differences(tail)}",
    )


def _compared(run: Run, first: Run, tail: float) -> Compared:
    change: Change | None = None
    reasons: tuple[str, ...] = ()
    if run is not first:
        change, reasons = _against(first.judged, run.judged, tail)
    times = latency(run.judged)
    assert times is not None
    return Compared(
        label=run.label,
        model=run.model,
        size=run.size,
        peak_memory=run.peak_memory,
        latency=times,
        groups=tuple(_groups(run.judged)),
        scores=scores(run.judged, STRICT),
        change=change,
        reasons=reasons,
    )


def _groups(judged: Sequence[Judged]) -> list[Group]:
    names = sorted({one.row.set for one in judged})
    policies = OFFICIAL.values()
    sets = [group_of(n, [one for one in judged if one.row.set == n], policies) for n in names]
    return [*sets, group_of("all", judged, policies)]


def _against(
    first: Sequence[Judged], other: Sequence[Judged], tail: float
) -> tuple[Change, tuple[str, ...]]:
    """What changes, and the reasons against shipping the other file."""
    import numpy as np

    pairs = list(zip(first, other))
    units = units_of(first)
    same = np.array([a.verdict.severity == b.verdict.severity for a, b in pairs])
    answers = np.array([a.verdict.answer == b.verdict.answer for a, b in pairs])
    same_severity = _certain(share(same, units, tail))
    flags = {name: _flags(first, other, policy) for name, policy in OFFICIAL.items()}
    profiles = {name: paired(*flagged) for name, flagged in flags.items()}
    f1 = {name: f1_difference(found, tail) for name, found in profiles.items()}
    change = Change(
        same_severity=same_severity,
        same_answer=_certain(share(answers, units, tail)),
        f1=f1,
        mcnemar={name: _mcnemar(*flagged) for name, flagged in flags.items()},
        **moved(pairs),
    )
    severities = profiles_of(same.astype(int), units, 2)
    return change, tuple(reasons_against(f1, profiles, same_severity, severities, tail))


def _flags(
    first: Sequence[Judged], other: Sequence[Judged], policy: Policy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64] | None]:
    """For the rows with a known label: truth, the first's flag, the other's, and the unit."""
    import numpy as np

    known, others = labelled(first), labelled(other)
    truth = np.array([is_harmful(one, policy) for one in known], dtype=np.bool_)
    before = np.array([is_flagged(one, policy) for one in known], dtype=np.bool_)
    after = np.array([is_flagged(one, policy) for one in others], dtype=np.bool_)
    return truth, before, after, units_of(known)


def _mcnemar(
    truth: NDArray[np.bool_],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    units: NDArray[np.int64] | None,
) -> float:
    """The sign test on rows that only one of the two gets right; each unit has one sign."""
    import numpy as np
    from scipy.stats import binomtest

    signs = (after == truth).astype(int) - (before == truth)
    if units is not None:
        signs = np.bincount(units, weights=signs)
    lost, won = int((signs < 0).sum()), int((signs > 0).sum())
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def _certain(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate
