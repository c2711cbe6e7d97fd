"""A summary as titled tables of text, the same for the terminal and for the page.

This module computes no figure, and knows neither terminals nor HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeguard.evaluation.judging import Failed
from edgeguard.evaluation.summary import Group, Summary
from edgeguard.evaluation.wording import (
    NOTHING,
    columns,
    duration,
    percent,
    printable,
    score_name,
    with_interval,
)
from edgeguard.policy import OFFICIAL, Policy
from edgeguard.policy.wording import rules_in_words
from edgeguard.protocol.names import SAFE, SEVERITIES

FAILURES_SHOWN = 20

_INTERVAL = re.compile(r" \[[^]]*\]$")
Lines = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A title, a table whose first line is its header, and sentences below it."""

    title: str
    lines: Lines
    notes: tuple[str, ...] = ()


def sections_of(summary: Summary) -> tuple[Section, ...]:
    """All tables of a summary for a person; figures in percent."""
    return tuple(_sections(summary))


def as_text(sections: Sequence[Section], width: int) -> str:
    """Sections for a terminal; a table that is too wide is shown without intervals."""
    blocks, widest = [], 0
    for section in sections:
        table = columns(section.lines)
        needed = max(map(len, table.splitlines()))
        if needed > width:
            widest = max(widest, needed)
            table = columns([[_INTERVAL.sub("", cell) for cell in line] for line in section.lines])
        blocks.append("\n".join([section.title, table, *section.notes]))
    if widest:
        blocks.append(f"Tables without intervals need {widest} columns for them; --html has all.")
    return "\n\n".join(blocks)


def failures(failed: Sequence[Failed]) -> str:
    """The rows that could not be judged, by set and id."""
    first = failed[:FAILURES_SHOWN]
    shown = [f"  {printable(one.set)} {printable(one.id)}: {one.error}" for one in first]
    if len(failed) > FAILURES_SHOWN:
        shown.append(f"  … and {len(failed) - FAILURES_SHOWN:,} more; --json lists them all")
    counts = "counts" if len(failed) == 1 else "count"
    return "\n".join(
        [f"{len(failed):,} of the rows could not be judged and {counts} nowhere:", *shown]
    )


def described(policy: Policy) -> str:
    """What counts as harmful under a policy, and what it flags."""
    harmful = " and ".join(s for s in SEVERITIES if s in policy.harmful)
    rules = "".join(f"; {rule}" for rule in rules_in_words(policy) if policy.name not in OFFICIAL)
    if policy.threshold is None:
        counts = "counts" if len(policy.harmful) == 1 else "count"
        return f"{policy.name}: {harmful} {counts} as harmful{rules}"
    rule = f"{score_name(policy)} ≥ {policy.threshold:.6g}"
    return f"{policy.name}: {harmful} are harmful, {rule} is flagged{rules}"


def _sections(summary: Summary) -> Iterator[Section]:
    for policy in summary.policies:
        groups = [*summary.sets, *summary.groups]
        notes = tuple(
            f"Mean F1 over {mean.sets} sets of {mean.mode}s: {percent(mean.f1)}"
            for mean in summary.means
            if mean.policy == policy.name
        )
        yield Section(described(policy), _flags(policy.name, groups, "set"), notes)
    if sum(one.rows > one.unknown for one in summary.languages) > 1:
        for policy in summary.policies:
            lines = _flags(policy.name, summary.languages, "language")
            yield Section(f"Languages, {policy.name}", lines)
    if summary.categories:
        yield _categories(summary)
    if summary.groups[-1].refusal is not None:
        yield _refusals(summary)
    yield _scores(summary)
    if summary.latency is not None:
        yield _latency(summary)


def _flags(policy: str, groups: Sequence[Group], title: str) -> Lines:
    """One line per group, with the report's F1 if there is one."""
    with_report = policy in OFFICIAL and any(group.reported for group in groups)
    header = (title, "rows", "harmful", "F1", "precision", "recall", "false alarms")
    lines: list[tuple[str, ...]] = [(*header, "report's F1") if with_report else header]
    for group in groups:
        found = group.policies[policy]
        if title == "language" and not found.harmful + found.harmless:
            continue
        line = (
            printable(group.name),
            f"{found.harmful + found.harmless:,}",
            f"{found.harmful:,}",
            with_interval(found.f1),
            with_interval(found.precision),
            with_interval(found.recall),
            with_interval(found.false_alarm_rate),
        )
        lines.append((*line, _reported(group, policy)) if with_report else line)
    return tuple(lines)


def _reported(group: Group, policy: str) -> str:
    return percent(getattr(group.reported, policy)) if group.reported else NOTHING


def _categories(summary: Summary) -> Section:
    names = [policy.name for policy in summary.policies]
    lines: list[tuple[str, ...]] = [
        ("category", "rows", *(f"recall, {name}" for name in names), "named right")
    ]
    for group in summary.categories:
        recalls = (with_interval(group.policies[name].recall) for name in names)
        lines.append((group.name, f"{group.rows:,}", *recalls, with_interval(group.category)))
    overall = with_interval(summary.groups[-1].category)
    note = f"Named right: an acceptable category, of the rows not called {SAFE}; {overall} of all"
    return Section("Harmful rows by acceptable category", tuple(lines), (note,))


def _refusals(summary: Summary) -> Section:
    lines: list[tuple[str, ...]] = [("set", "responses", "refusals", "F1", "precision", "recall")]
    for group in [*summary.sets, summary.groups[-1]]:
        found = group.refusal
        if found is not None:
            counts = (printable(group.name), f"{found.rows:,}", f"{found.refusals:,}")
            figures = (with_interval(e) for e in (found.f1, found.precision, found.recall))
            lines.append((*counts, *figures))
    return Section("Refusals", tuple(lines))


def _scores(summary: Summary) -> Section:
    lines = [("policy", "rows", "Brier", "ECE", "average precision", "ROC AUC")]
    for name in OFFICIAL:
        found = summary.scores[name]
        if found is not None:
            errors = (f"{found.rows:,}", f"{found.brier:.3f}", f"{found.ece:.3f}")
            ranks = (percent(found.average_precision), percent(found.roc_auc))
            lines.append((name, *errors, *ranks))
    return Section("The stated probability of harm", tuple(lines))


def _latency(summary: Summary) -> Section:
    found = summary.latency
    assert found is not None
    values = (found.median, found.p95, found.p99, found.worst)
    line = (f"{found.rows:,}", *map(duration, values), f"{found.mean_tokens:.0f}")
    header = ("checks", "median", "95 % within", "99 % within", "worst", "tokens on average")
    return Section("Time of a check", (header, line))
