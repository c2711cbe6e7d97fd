"""How figures are written for people, the same in the terminal and in the reports.

This module chooses no figure.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeguard.evaluation.intervals import Estimate
from edgeguard.evaluation.summary import Data, Summary
from edgeguard.policy import Policy

NOTHING = "–"


def percent(estimate: Estimate | float | None) -> str:
    """A rate in percent with one decimal; the sign is in the table's header."""
    if estimate is None:
        return NOTHING
    value = estimate.value if isinstance(estimate, Estimate) else estimate
    return f"{100 * value:.1f}"


def with_interval(estimate: Estimate | None) -> str:
    """A rate with its interval, as ``81.2 [79.8, 82.5]``."""
    if estimate is None:
        return NOTHING
    return f"{percent(estimate)} [{percent(estimate.low)}, {percent(estimate.high)}]"


def difference(estimate: Estimate | None) -> str:
    """A difference of rates in points, with its interval and a sign."""
    if estimate is None:
        return NOTHING
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def score_name(policy: Policy) -> str:
    """A policy's score, written as a sum of probabilities."""
    return " + ".join(f"P({severity})" for severity in policy.harmful)


def duration(seconds: float) -> str:
    """A time in a suitable unit."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def size(count: int | None) -> str:
    """Bytes in MB."""
    return NOTHING if count is None else f"{count / 1e6:,.1f} MB"


def printable(text: str) -> str:
    """A name from the data, without characters that could control a terminal or break a line."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lines of cells, aligned; the first line is the header, the first column is text."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def sample_of(data: Data) -> str:
    """Which rows were judged, in a sentence."""
    units = ""
    if data.texts < data.rows:
        units += f", {data.texts:,} different texts"
    if data.group is not None:
        units += f", in {data.groups:,} groups by {printable(data.group)}"
    if data.limit is None:
        return f"all {data.rows:,} rows{units}"
    return (
        f"a sample of {data.rows:,} of {data.available:,} rows: at most {data.limit:,} of each "
        f"set, drawn with seed {data.seed}{units}"
    )


def heading(summary: Summary) -> str:
    """Which model judged which rows, in two lines."""
    model = summary.model
    unknown = summary.groups[-1].unknown
    without = f", {unknown:,} of them without a known label" if unknown else ""
    return (
        f"{printable(model.name)} {model.type} (sha256 {model.sha256[:12]}) on {summary.device}\n"
        f"{sample_of(summary.data)}{without}; figures in percent"
    )
