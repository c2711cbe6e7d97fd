"""A summary as one self-contained HTML page: plots inside, no script, no request.

It contains ids and figures, never a judged text. This module computes no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.evaluation import plots
from edgeguard.evaluation.metrics import BINS
from edgeguard.evaluation.reported import source
from edgeguard.evaluation.sections import failures, sections_of
from edgeguard.evaluation.summary import Summary
from edgeguard.evaluation.wording import heading, score_name
from edgeguard.policy import OFFICIAL, STRICT


@dataclass(frozen=True)
class Plot:
    """An SVG element and its description."""

    svg: str
    caption: str


def page(summary: Summary) -> str:
    """The page of one model."""
    return render(
        "report.html",
        title=f"{summary.model.name} on {', '.join(summary.data.files)}",
        about=heading(summary),
        failed=failures(summary.failed) if summary.failed else "",
        sections=sections_of(summary),
        figures=tuple(_plots(summary)),
        method=method(summary),
    )


def method(summary: Summary) -> list[str]:
    """How the figures were computed, in sentences."""
    found = [
        summary.intervals,
        "The harmful class is that of the Qwen3Guard report: strict counts Controversial as "
        "harmful, loose does not; a set that is harmful throughout has a precision of 1 in its F1. "
        f"ECE takes {BINS} equally wide bins.",
        f"Rows {summary.data.sha256}, model {summary.model.sha256}, edgeguard "
        f"{summary.edgeguard}, {summary.date}.",
    ]
    compared = {g.name: g.reported for g in summary.sets if g.reported}
    if compared:
        notes = "".join(f"; {name}: {one.note}" for name, one in compared.items() if one.note)
        found.append(
            f"Report's F1: {source()}. Public copies of a set may differ in rows and labels{notes}."
        )
    return found


def render(template: str, **values: Any) -> str:
    """A page from a template of this package, with everything escaped except our own plots."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _plots(summary: Summary) -> Iterable[Plot]:
    yield Plot(plots.confusion_plot(summary.confusion), "Labels against severities, by rows.")
    found = [(name, one) for name in OFFICIAL if (one := summary.scores[name]) is not None]
    curves = [(name, one) for name, one in found if one.curve]
    strict = dict(curves).get(STRICT.name)
    if strict is not None:
        yield Plot(
            plots.threshold_plot(strict),
            f"Flagging what reaches a threshold on {score_name(STRICT)}: what edgeguard calibrate "
            "chooses from.",
        )
        yield Plot(plots.precision_recall_plot(curves), "Precision against recall.")
    if found:
        yield Plot(
            plots.reliability_plot(found),
            "How often rows are harmful, by the stated probability; on the dotted line it is true.",
        )
    if summary.latency is not None:
        yield Plot(plots.latency_plot([("", summary.latency)]), "Time of a check.")
