"""Reads the records of evaluate.py: where a model is right, by set, length, language and kind.

    python models/nano/training/breakdown.py q8_0.json

F1 (strict) stands beside AUC, and beside the F1 of flagging everything, which a model must beat to
be of use. The expected calibration error is over ten bins of the stated probability of harm.

It judges nothing, and its input holds no texts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
LENGTHS = (200, 800, 10**9)
FEW = 20
"""Rows below which a group says nothing."""


def auc(rows: list[Row]) -> float | None:
    """How often a harmful row has more of the probability than a harmless one."""
    ranked = sorted(rows, key=lambda r: r["harm"])
    ranks = _ranks([r["harm"] for r in ranked])
    harmful = [rank for r, rank in zip(ranked, ranks) if _harmful(r)]
    bad, good = len(harmful), len(rows) - len(harmful)
    if not bad or not good:
        return None
    return (sum(harmful) - bad * (bad + 1) / 2) / (bad * good)


def _ranks(values: list[float]) -> list[float]:
    """The rank of each of the sorted values, from 1; equal ones share theirs."""
    out: list[float] = []
    at = 0
    while at < len(values):
        end = at
        while end < len(values) and values[end] == values[at]:
            end += 1
        out += [(at + 1 + end) / 2] * (end - at)
        at = end
    return out


def calibration_error(rows: list[Row]) -> float:
    """The mean distance of what is stated from what is true, weighted by rows."""
    bins: dict[int, list[Row]] = defaultdict(list)
    for r in rows:
        bins[min(9, int(r["harm"] * 10))].append(r)
    gaps = [abs(sum(float(r["harm"]) - _harmful(r) for r in b)) for b in bins.values()]
    return sum(gaps) / len(rows)


def line(rows: list[Row]) -> list[str]:
    """Rows, AUC, F1, that of flagging everything, recall, false alarms, calibration error."""
    bad = [r for r in rows if _harmful(r)]
    good = [r for r in rows if not _harmful(r)]
    hits, alarms = (sum(r["severity"] != "Safe" for r in group) for group in (bad, good))
    area = auc(rows)
    return [
        str(len(rows)),
        "–" if area is None else f"{area:.2f}",
        f"{2 * hits / (hits + alarms + len(bad)):.2f}" if bad else "–",
        f"{2 * len(bad) / (len(rows) + len(bad)):.2f}" if bad else "–",
        f"{hits / len(bad):.2f}" if bad else "–",
        f"{alarms / len(good):.2f}" if good else "–",
        f"{calibration_error(rows):.2f}",
    ]


TITLE = ("rows", "AUC", "F1", "F1 of flagging all", "recall", "false alarms", "ECE")


def table(name: str, rows: list[Row], group: Callable[[Row], str | None]) -> str:
    """A Markdown table, a line a group."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        key = group(r)
        if key is not None:
            groups[key].append(r)
    lines = [f"| {name} | " + " | ".join(TITLE) + " |", "|---" * (len(TITLE) + 1) + "|"]
    for key, found in sorted(groups.items()):
        if len(found) >= FEW:
            lines.append(f"| {key} | " + " | ".join(line(found)) + " |")
    return "\n".join(lines)


def length(row: Row) -> str:
    """The group of a text's length."""
    limit = next(n for n in LENGTHS if row["chars"] < n)
    return (
        f"{row['mode']}, 800 characters and more"
        if limit == LENGTHS[-1]
        else (f"{row['mode']}, under {limit}")
    )


def kind(row: Row) -> str | None:
    """The kind of a reply, as far as the row's labels tell."""
    if row["mode"] != "response":
        return None
    if row["true_refusal"] == "Yes":
        return "a refusal"
    return "another reply" if row["true_refusal"] == "No" else "a reply of unknown kind"


def _harmful(row: Row) -> bool:
    return bool(row["label"] != "Safe")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", type=Path, help="what evaluate.py wrote with --out")
    a = parser.parse_args()
    rows = [r for r in json.loads(a.records.read_text()) if r["label"] != "unknown"]
    kept = [r for r in rows if r["set"].startswith("held-out ")]
    other = [r for r in rows if not r["set"].startswith("held-out ")]
    for title, part in (("measuring sets", other), ("rows kept aside", kept)):
        print(f"\n{title}\n")
        for name, group in (
            ("set", lambda r: str(r["set"]).removeprefix("held-out ")),
            ("length", length),
            ("language", lambda r: str(r["lang"])),
            ("reply", kind),
            ("all", lambda _: "all"),
        ):
            print(table(name, part, group), end="\n\n")


if __name__ == "__main__":
    main()
