"""All figures of one run: what was judged by which model, and the figures of every group of rows.

A group is a set, a language, a category, or all prompts or all responses. `to_dict` is what
`edgeguard eval --json` prints. This module computes no figure itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from statistics import fmean
from typing import Any

from edgeguard.evaluation import metrics
from edgeguard.evaluation.intervals import CONFIDENCE, Estimate
from edgeguard.evaluation.judging import Failed, Judged, Outcome
from edgeguard.evaluation.reported import Reported, reported
from edgeguard.evaluation.resampling import RESAMPLES, SEED
from edgeguard.evaluation.rows import Row, digest_of
from edgeguard.policy import OFFICIAL, STRICT, Policy
from edgeguard.protocol.names import CATEGORIES, MODES, SAFE, SEVERITIES, Mode
from edgeguard.store.versions import version_of
from edgeguard.verdict import ModelId


@dataclass(frozen=True)
class Data:
    """What was judged: file names without folders, the digest of the rows, and the sampling.

    ``limit`` is the most rows of a set, None if all were taken; ``available`` counts the rows
    before sampling. ``texts`` counts the distinct ones. ``group`` is the field that names the rows
    that belong together, and ``groups`` counts its values; None if no field was named.
    """

    files: tuple[str, ...]
    sha256: str
    rows: int
    available: int
    limit: int | None
    seed: int
    texts: int
    group: str | None = None
    groups: int | None = None


@dataclass(frozen=True)
class Group:
    """The figures of some rows; ``policies`` by name, ``reported`` from the model's report."""

    name: str
    rows: int
    unknown: int
    policies: dict[str, metrics.Flags]
    refusal: metrics.Refusals | None
    category: Estimate | None
    reported: Reported | None = None


@dataclass(frozen=True)
class Mean:
    """The plain mean of F1 over the sets of a mode that have harmful rows, as in the report."""

    mode: Mode
    policy: str
    sets: int
    f1: float


@dataclass(frozen=True)
class Summary:
    """All figures of one run of one model; see `edgeguard.evaluation.metrics` for each."""

    edgeguard: str
    date: str
    model: ModelId
    device: str
    data: Data
    policies: tuple[Policy, ...]
    intervals: str
    failed: tuple[Failed, ...]
    groups: tuple[Group, ...]
    sets: tuple[Group, ...]
    means: tuple[Mean, ...]
    languages: tuple[Group, ...]
    categories: tuple[Group, ...]
    confusion: tuple[tuple[int, ...], ...]
    scores: dict[str, metrics.Scores | None]
    latency: metrics.Latency | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for any serialiser."""
        return {**asdict(self), "severities": list(SEVERITIES)}


def data_of(
    files: Iterable[str],
    rows: Sequence[Row],
    available: int,
    *,
    limit: int | None = None,
    seed: int = 0,
    group: str | None = None,
) -> Data:
    """What is known of rows before they are judged."""
    return Data(
        files=tuple(files),
        sha256=digest_of(rows),
        rows=len(rows),
        available=available,
        limit=limit,
        seed=seed,
        texts=len({row.text for row in rows}),
        group=group,
        groups=None if group is None else len({row.group for row in rows}),
    )


def method_of(data: Data) -> str:
    """How the intervals are computed, and what counts as one piece of evidence, in words."""
    bootstrap = (
        "where there is more than one row, a Bayesian bootstrap with one more, wholly wrong or "
        f"wholly right ({RESAMPLES:,} draws, seed {SEED})"
    )
    exact = (
        f"Intervals of {100 * CONFIDENCE:.0f} %: Clopper-Pearson, for F1 through the rate "
        "TP / (TP + FP + FN)"
    )
    if data.groups is not None:
        what = f"They are by group: the {data.groups:,} groups are taken as independent"
        return f"{exact}. {what}; {bootstrap} of them."
    if data.texts < data.rows:
        what = f"{data.rows - data.texts:,} rows repeat a text: figures count every row, intervals"
        return f"{exact}. {what} a text once; {bootstrap} of a text."
    return f"{exact}. Rows are taken as independent."


def summarise(outcome: Outcome, data: Data, model: ModelId, policy: Policy = STRICT) -> Summary:
    """Every figure of a run under strict, loose, and the guard's own policy if it is another."""
    judged = outcome.judged
    policies = tuple({**OFFICIAL, policy.name: policy}.values())
    sets = _grouped(judged, policies, lambda one: [one.row.set])
    return Summary(
        edgeguard=version_of("edgeguard"),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=model,
        device=judged[0].verdict.device if judged else "",
        data=data,
        policies=policies,
        intervals=method_of(data),
        failed=outcome.failed,
        groups=tuple(_modes(judged, policies)),
        sets=tuple(_with_reported(group, judged) for group in sets),
        means=tuple(_means(sets, judged, policies)),
        languages=tuple(_grouped(judged, policies, lambda one: [one.row.lang])),
        categories=tuple(_categories(judged, policies)),
        confusion=metrics.confusion(judged),
        scores={one.name: metrics.scores(judged, one) for one in policies},
        latency=metrics.latency(judged),
    )


def group_of(name: str, judged: Sequence[Judged], policies: Iterable[Policy]) -> Group:
    """The figures of some rows."""
    return Group(
        name=name,
        rows=len(judged),
        unknown=sum(one.row.label is None for one in judged),
        policies={policy.name: metrics.flags(judged, policy) for policy in policies},
        refusal=metrics.refusals(judged),
        category=metrics.category_agreement(judged),
    )


def _grouped(
    judged: Sequence[Judged],
    policies: Iterable[Policy],
    keys: Callable[[Judged], Iterable[str]],
) -> list[Group]:
    members: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        for key in keys(one):
            members[key].append(one)
    return [group_of(name, members[name], policies) for name in sorted(members)]


def _modes(judged: Sequence[Judged], policies: Iterable[Policy]) -> Iterable[Group]:
    found = {mode: [one for one in judged if one.row.mode == mode] for mode in MODES}
    if all(found.values()):
        for mode, members in found.items():
            yield group_of(f"all {mode}s", members, policies)
    yield group_of("all", judged, policies)


def _categories(judged: Sequence[Judged], policies: Iterable[Policy]) -> Iterable[Group]:
    """Harmful rows by the categories that are acceptable for them, in the protocol's order."""
    harmful = [one for one in judged if one.row.label not in (None, SAFE)]
    groups = {
        group.name: group for group in _grouped(harmful, policies, lambda one: one.row.categories)
    }
    return (groups[name] for name in CATEGORIES if name in groups)


def _with_reported(group: Group, judged: Sequence[Judged]) -> Group:
    members = [one.row for one in judged if one.row.set == group.name]
    found = reported(group.name, {row.mode for row in members}, {row.lang for row in members})
    return Group(**{**vars(group), "reported": found})


def _means(
    sets: Sequence[Group], judged: Sequence[Judged], policies: Iterable[Policy]
) -> Iterable[Mean]:
    for mode in MODES:
        names = {one.row.set for one in judged if one.row.mode == mode}
        for policy in policies:
            found = [group.policies[policy.name].f1 for group in sets if group.name in names]
            values = [f1.value for f1 in found if f1 is not None]
            if len(values) > 1:
                yield Mean(mode, policy.name, len(values), fmean(values))
