"""A comparison as titled tables, and as one HTML page that ends with a recommendation.

This module computes no figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgeguard.evaluation import plots
from edgeguard.evaluation.comparison import Change, Compared, Comparison
from edgeguard.evaluation.page import Plot, render
from edgeguard.evaluation.sections import Section, failures
from edgeguard.evaluation.wording import (
    NOTHING,
    difference,
    duration,
    percent,
    printable,
    sample_of,
    size,
    with_interval,
)
from edgeguard.policy import OFFICIAL, STRICT
from edgeguard.protocol.names import SEVERITIES

_FLIPS_SHOWN = 20
_FASTER = 0.9
"""A median below this fraction of another's is worth mentioning."""


def comparison_sections(found: Comparison, *, all_flips: bool) -> tuple[Section, ...]:
    """All tables for a person; with all rows that flipped, or only the first few."""
    return tuple(_sections(found, all_flips))


def answer(found: Comparison) -> str:
    """Which file to ship and why, in sentences."""
    chosen = _chosen(found)
    against = [
        f"{printable(one.label)} is smaller, but {'; '.join(one.reasons)}."
        for one in found.models
        if one.size < chosen.size
    ]
    faster = [
        f"{printable(one.label)} passes too and is faster ({duration(one.latency.median)})."
        for one in found.models
        if not one.reasons and one.latency.median < _FASTER * chosen.latency.median
    ]
    return " ".join([f"Ship {printable(chosen.label)}: {_merits(chosen)}.", *against, *faster])


def comparison_heading(found: Comparison) -> str:
    """Which files judged which rows, in two lines."""
    names = ", ".join(printable(one.label) for one in found.models)
    return f"{names} on {found.device}\n{sample_of(found.data)}; figures in percent"


def comparison_page(found: Comparison) -> str:
    """The page of a comparison."""
    return render(
        "comparison.html",
        title=f"Which file should I ship? {', '.join(one.label for one in found.models)}",
        about=comparison_heading(found),
        failed=failures(found.failed) if found.failed else "",
        sections=comparison_sections(found, all_flips=True),
        figures=tuple(_plots(found)),
        answer=answer(found),
        rule=found.rule,
        method=[
            found.intervals,
            "The change of a text's probabilities is the total variation distance between the "
            "two models' severities; KL is the Kullback-Leibler divergence from the first's, in "
            "nats. McNemar is the exact test's p-value. Models judged in turns, row by row, each "
            "in a process of its own.",
            f"Rows {found.data.sha256}; "
            + "; ".join(f"{one.label} {one.model.sha256}" for one in found.models),
        ],
    )


def _sections(found: Comparison, all_flips: bool) -> Iterator[Section]:
    yield _files(found)
    yield _f1(found)
    others = [(one, one.change) for one in found.models if one.change is not None]
    yield _changes(found, others)
    if any(change.tokens for _, change in others):
        yield _token_changes(found, others)
    yield _directions(others)
    yield from _sets(found)
    flips = [(one, flip) for one, change in others for flip in change.flips]
    if flips:
        shown = flips if all_flips else flips[:_FLIPS_SHOWN]
        lines = [("row", "set", "label", found.models[0].label, "becomes", "under")]
        for one, flip in shown:
            names = (printable(flip.id), printable(flip.set), flip.label or NOTHING)
            lines.append((*names, flip.first, flip.other, printable(one.label)))
        rest = len(flips) - len(shown)
        notes = (f"… and {rest:,} more; --html and --json list them all",) if rest else ()
        yield Section("Texts that change their severity", tuple(lines), notes)


def _files(found: Comparison) -> Section:
    header = ("file", "type", "size", "median check", "95 % within", "peak memory")
    lines: list[tuple[str, ...]] = [header]
    for one in found.models:
        times = (duration(one.latency.median), duration(one.latency.p95))
        memory = size(one.peak_memory)
        lines.append((printable(one.label), one.model.type, size(one.size), *times, memory))
    return Section("Files", tuple(lines))


def _f1(found: Comparison) -> Section:
    header = [("file", *(f"{n} {what}" for n in OFFICIAL for what in ("F1", "change", "McNemar")))]
    lines: list[tuple[str, ...]] = [*header]
    for one in found.models:
        cells = [printable(one.label)]
        for name in OFFICIAL:
            cells.append(with_interval(one.groups[-1].policies[name].f1))
            change = one.change
            cells.append(NOTHING if change is None else difference(change.f1[name]))
            cells.append(NOTHING if change is None else f"{change.mcnemar[name]:.2g}")
        lines.append(tuple(cells))
    title = f"F1 of the harmful class, and its change against {printable(found.models[0].label)}"
    return Section(title, tuple(lines))


def _token_changes(found: Comparison, others: list[tuple[Compared, Change]]) -> Section:
    lines = [("file", "tokens", "same severity", "mean change", "worst")]
    for one, change in others:
        if (said := change.tokens) is not None:
            shares = (percent(said.same), percent(said.mean), percent(said.worst))
            lines.append((printable(one.label), f"{said.count:,}", *shares))
    title = f"Tokens of responses, against {printable(found.models[0].label)}, in percent"
    return Section(title, tuple(lines), ())


def _changes(found: Comparison, others: list[tuple[Compared, Change]]) -> Section:
    header = ("file", "same severity", "same answer", "mean change", "worst", "mean KL", "worst KL")
    lines: list[tuple[str, ...]] = [header]
    for one, change in others:
        same = (with_interval(change.same_severity), with_interval(change.same_answer))
        moved = (percent(change.change_mean), percent(change.change_worst))
        nats = (f"{change.kl_mean:.2g}", f"{change.kl_worst:.2g}")
        lines.append((printable(one.label), *same, *moved, *nats))
    title = f"Against {printable(found.models[0].label)}, over {found.rows:,} rows"
    return Section(title, tuple(lines))


def _directions(others: list[tuple[Compared, Change]]) -> Section:
    lines: list[tuple[str, ...]] = [("from, to", *(printable(one.label) for one, _ in others))]
    for row, before in enumerate(SEVERITIES):
        for column, after in enumerate(SEVERITIES):
            if row != column:
                counts = (f"{change.matrix[row][column]:,}" for _, change in others)
                lines.append((f"{before} → {after}", *counts))
    none = all(not change.flips for _, change in others)
    notes = ("No text changes its severity.",) if none else ()
    return Section("Changes of severity, in texts", tuple(lines), notes)


def _sets(found: Comparison) -> Iterator[Section]:
    if len(found.models[0].groups) <= 2:
        return
    for name in OFFICIAL:
        lines = [("set", *(printable(one.label) for one in found.models))]
        for index, group in enumerate(found.models[0].groups):
            flags = [one.groups[index].policies[name] for one in found.models]
            if flags[0].f1 is not None:
                lines.append((printable(group.name), *(with_interval(f.f1) for f in flags)))
        if len(lines) > 1:
            yield Section(f"F1 by set, {name}", tuple(lines))


def _plots(found: Comparison) -> Iterable[Plot]:
    others = [(one.label, one.change) for one in found.models if one.change is not None]
    yield Plot(
        plots.difference_plot([(n, p, c.f1[p]) for n, c in others for p in OFFICIAL]),
        f"Change of F1 against {found.models[0].label}, with its interval; left of the dashed "
        "line a file is not shipped.",
    )
    yield Plot(
        plots.change_plot([(name, change.change_quantiles) for name, change in others]),
        "How far the probabilities of the texts move: the share of texts that move at most so far.",
    )
    curves = [(m.label, m.scores) for m in found.models if m.scores and m.scores.curve]
    if curves:
        yield Plot(plots.precision_recall_plot(curves), f"Precision against recall, {STRICT.name}.")
        yield Plot(plots.reliability_plot(curves), "How often rows are harmful, as stated.")
    yield Plot(plots.latency_plot([(m.label, m.latency) for m in found.models]), "Time of a check.")
    yield Plot(
        plots.size_plot([(m.label, m.size, m.latency.median) for m in found.models]),
        "Size of the file and median time of a check.",
    )


def _merits(one: Compared) -> str:
    parts = [size(one.size), f"{duration(one.latency.median)} a check"]
    if one.change is not None:
        parts.append(f"the same severity for {with_interval(one.change.same_severity)} %")
        parts += [f"{name} F1 {difference(f1)} points" for name, f1 in one.change.f1.items()]
    return ", ".join(parts)


def _chosen(found: Comparison) -> Compared:
    return next(one for one in found.models if one.label == found.ship)
