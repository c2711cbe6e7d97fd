"""Plots of figures as SVG text to be put into a page: no file, no network, no display.

Lines are drawn in `currentColor`, so a plot fits a light or a dark page. The same figures give the
same bytes. This module computes no figure.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgeguard.evaluation.intervals import Estimate
from edgeguard.evaluation.metrics import BINS, Latency, Scores
from edgeguard.evaluation.shipping import MARGIN
from edgeguard.evaluation.wording import printable
from edgeguard.protocol.names import SEVERITIES

_INK = "#010203"
"""Stands for the page's own colour until the SVG is written."""

COLOURS = ("#3b82c4", "#d9822b", "#4f9d69", "#b5557f", "#8a6fc0", "#7d7d7d")
"""Readable on white and on black."""

_STYLE = {
    "font.size": 10,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "axes.grid": True,
    "grid.alpha": 0.2,
    "grid.color": _INK,
}


def confusion_plot(matrix: Sequence[Sequence[int]]) -> str:
    """Labels against severities: counts, shaded by the share of the label's rows."""

    def draw(axes: Any) -> None:
        shares = [[count / (sum(line) or 1) for count in line] for line in matrix]
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1.6)
        axes.invert_yaxis()
        for row, line in enumerate(matrix):
            for column, count in enumerate(line):
                text = f"{count:,}\n{100 * shares[row][column]:.0f} %" if sum(line) else "–"
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color="#0b1d33")
        middles = [number + 0.5 for number in range(len(SEVERITIES))]
        axes.set_xticks(middles, SEVERITIES)
        axes.set_yticks(middles, SEVERITIES)
        axes.set_xlabel("severity the model names")
        axes.set_ylabel("label")
        axes.grid(False)

    return _svg("confusion", draw, height=3.2)


def threshold_plot(scores: Scores) -> str:
    """Precision, recall and false alarms over the threshold on the score."""

    def draw(axes: Any) -> None:
        at = [point.threshold for point in scores.curve]
        for name, field in (
            ("precision", "precision"),
            ("recall", "recall"),
            ("false alarms", "false_alarm_rate"),
        ):
            axes.plot(at, [getattr(point, field) for point in scores.curve], label=name)
        axes.set_xlabel("threshold on the probability of harm")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.legend()

    return _svg("threshold", draw)


def precision_recall_plot(curves: Sequence[tuple[str, Scores]]) -> str:
    """Precision against recall, a line for each name."""

    def draw(axes: Any) -> None:
        for name, scores in curves:
            recall = [point.recall for point in scores.curve]
            axes.plot(recall, [point.precision for point in scores.curve], label=_plain(name))
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.02)
        axes.legend()

    return _svg("precision-recall", draw)


def reliability_plot(curves: Sequence[tuple[str, Scores]]) -> str:
    """How often rows are harmful, by the probability of harm that the model states."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
        for name, scores in curves:
            stated = [one.stated for one in scores.bins]
            axes.plot(stated, [one.observed for one in scores.bins], marker="o", label=_plain(name))
        axes.set_xlabel(f"probability of harm as stated, in {BINS} bins")
        axes.set_ylabel("share that is harmful")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.legend()

    return _svg("reliability", draw)


def latency_plot(found: Sequence[tuple[str, Latency]]) -> str:
    """The distribution of the seconds per check, on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    def draw(axes: Any) -> None:
        for name, one in found:
            axes.stairs(one.counts, [1000 * edge for edge in one.edges], label=_plain(name))
            axes.axvline(1000 * one.median, linestyle=":", linewidth=1, color=_INK)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("milliseconds a check (dotted: median)")
        axes.set_ylabel("rows")
        if len(found) > 1:
            axes.legend()

    return _svg("latency", draw)


def difference_plot(found: Sequence[tuple[str, str, Estimate | None]]) -> str:
    """Changes of F1 in points with their intervals, a line for each name and policy."""

    def draw(axes: Any) -> None:
        shown = [(f"{n}, {policy}", one) for n, policy, one in found if one is not None]
        for place, (_, one) in enumerate(shown):
            value, low, high = (100 * part for part in (one.value, one.low, one.high))
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=3)
        axes.axvline(0, color=_INK, linewidth=0.8)
        axes.axvline(-100 * MARGIN, color=_INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(shown)), [_plain(name) for name, _ in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlabel("change of F1, points")

    return _svg("difference", draw)


def change_plot(found: Sequence[tuple[str, Sequence[float]]]) -> str:
    """The share of texts whose probabilities change by at most so much, for each name."""

    def draw(axes: Any) -> None:
        for name, quantiles in found:
            shares = [index / (len(quantiles) - 1) for index in range(len(quantiles))]
            axes.plot([max(one, 1e-6) for one in quantiles], shares, label=_plain(name))
        axes.set_xscale("log")
        axes.set_xlabel("change of the probabilities (total variation)")
        axes.set_ylabel("share of texts")
        axes.set_ylim(0, 1.02)
        axes.legend()

    return _svg("change", draw)


def size_plot(found: Sequence[tuple[str, int, float]]) -> str:
    """File size against the median time of a check, a point for each name."""

    def draw(axes: Any) -> None:
        for name, count, seconds in found:
            axes.plot(count / 1e6, 1000 * seconds, "o", label=_plain(name))
        axes.set_xlabel("size, MB")
        axes.set_ylabel("median milliseconds a check")
        axes.set_xlim(0, 1.15 * max(count / 1e6 for _, count, _ in found))
        axes.set_ylim(0, 1.4 * max(1000 * seconds for _, _, seconds in found))
        axes.legend()

    return _svg("size", draw)


def _plain(name: str) -> str:
    """A name as plain text: matplotlib would typeset anything between dollar signs as a formula."""
    return printable(name).replace("$", r"\$")


def _svg(name: str, draw: Callable[[Any], None], *, height: float = 3.4) -> str:
    with _figure(name, height) as (figure, axes):
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    # The page sets width and height; the XML and DOCTYPE lines do not belong inside HTML.
    head, _, body = svg[svg.index("<svg") :].partition(">")
    head = " ".join(part for part in head.split() if not part.startswith(("width=", "height=")))
    return f'{head} role="img">{body}'.replace(_INK, "currentColor")


@contextmanager
def _figure(name: str, height: float) -> Iterator[tuple[Any, Any]]:
    """A figure without pyplot: no global state, and no window can open."""
    import matplotlib
    from cycler import cycler
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # The salt keeps the ids of several plots in one page distinct.
    style: dict[str, Any] = {**_STYLE, "svg.hashsalt": name}
    style["axes.prop_cycle"] = cycler(color=COLOURS)
    settings: Any = style
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()
