"""Reads the records of evaluate.py: where a model is right, by set, length, language and kind.

    python models/nano/training/breakdown.py q8_0.json [--beside teacher.json --name teacher]

F1 (strict) stands beside AUC, and beside the F1 of flagging everything, which a model must beat to
be of use; `--beside` adds what another model has on the same rows. The expected calibration error
(ECE) is over ten bins of the stated probability of harm. A mean counts each group once.

It judges nothing, and its input holds no texts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
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


Cells = dict[str, float | None]
"""Figures by their title; None where the rows have none."""


def line(rows: list[Row], beside: Beside | None = None) -> Cells:
    """AUC, F1, that of flagging everything, recall, false alarms, calibration error."""
    bad, good = _parts(rows)
    hits, alarms = (sum(r["severity"] != "Safe" for r in group) for group in (bad, good))
    cells = {
        "AUC": auc(rows),
        "F1": f1(rows),
        "F1 of flagging all": _ratio(2 * len(bad), len(rows) + len(bad)) if bad else None,
        "recall": _ratio(hits, len(bad)),
        "false alarms": _ratio(alarms, len(good)),
        "ECE": calibration_error(rows),
    }
    if beside:
        other = beside.of(rows)
        cells |= {f"AUC of {beside.name}": auc(other), f"F1 of {beside.name}": f1(other)}
    return cells


def f1(rows: list[Row]) -> float | None:
    """F1 (strict) of what is flagged; None without a harmful row."""
    bad, good = _parts(rows)
    hits, alarms = (sum(r["severity"] != "Safe" for r in group) for group in (bad, good))
    return _ratio(2 * hits, hits + alarms + len(bad)) if bad else None


@dataclass(frozen=True)
class Beside:
    """Another model's records by set and id."""

    name: str
    records: dict[tuple[str, str], Row]

    def of(self, rows: list[Row]) -> list[Row]:
        """Its records of the same rows, as far as it has them."""
        keys = [(r["set"], r["id"]) for r in rows]
        return [self.records[key] for key in keys if key in self.records]


def table(
    name: str,
    rows: list[Row],
    group: Callable[[Row], str | None],
    beside: Beside | None = None,
    mean: bool = False,
) -> str:
    """A Markdown table, a line a group; with ``mean``, the mean of the groups as the last."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        key = group(r)
        if key is not None:
            groups[key].append(r)
    large = {key: found for key, found in sorted(groups.items()) if len(found) >= FEW}
    cells = {key: line(found, beside) for key, found in large.items()}
    title = list(line(rows, beside)) if rows else []
    lines = [f"| {name} | rows | " + " | ".join(title) + " |", "|---" * (len(title) + 2) + "|"]
    lines += [_written(key, str(len(large[key])), cells[key]) for key in large]
    if mean and cells:
        lines.append(_written("mean", f"{len(cells)} groups", _mean(list(cells.values()))))
    return "\n".join(lines)


def _mean(cells: list[Cells]) -> Cells:
    out: Cells = {}
    for title in cells[0]:
        known = [value for row in cells if (value := row[title]) is not None]
        out[title] = sum(known) / len(known) if known else None
    return out


def _written(key: str, rows: str, cells: Cells) -> str:
    values = ["–" if value is None else f"{value:.2f}" for value in cells.values()]
    return f"| {key} | {rows} | " + " | ".join(values) + " |"


def _parts(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The harmful rows, and the harmless ones."""
    return [r for r in rows if _harmful(r)], [r for r in rows if not _harmful(r)]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def length(row: Row) -> str:
    """The group of a text's length."""
    limit = next(n for n in LENGTHS if row["chars"] < n)
    return (
        f"{row['mode']}, 800 characters and more"
        if limit == LENGTHS[-1]
        else (f"{row['mode']}, under {limit}")
    )


def kind(row: Row) -> str | None:
    """The kind of a reply: by its label, and where it has none by its first words."""
    if row["mode"] != "response":
        return None
    refuses = row["refusing"] if row["true_refusal"] is None else row["true_refusal"] == "Yes"
    return "a refusal" if refuses else "another reply"


def _harmful(row: Row) -> bool:
    return bool(row["label"] != "Safe")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", type=Path, help="what evaluate.py wrote with --out")
    parser.add_argument("--beside", type=Path, help="records of another model, or of the teacher")
    parser.add_argument("--name", default="the other", help="what to call that one")
    a = parser.parse_args()
    beside = None
    if a.beside:
        other = json.loads(a.beside.read_text())
        beside = Beside(a.name, {(r["set"], r["id"]): r for r in other})
    rows = [r for r in json.loads(a.records.read_text()) if r["label"] != "unknown"]
    kept = [r for r in rows if r["set"].startswith("held-out ")]
    measuring = [r for r in rows if not r["set"].startswith("held-out ")]
    for title, part in (("measuring sets", measuring), ("rows kept aside", kept)):
        print(f"\n{title}\n")
        for name, group in (
            ("set", lambda r: str(r["set"]).removeprefix("held-out ")),
            ("length", length),
            ("language", lambda r: str(r["lang"])),
            ("reply", kind),
            ("all", lambda _: "all"),
        ):
            print(table(name, part, group, beside, mean=name != "all"), end="\n\n")


if __name__ == "__main__":
    main()
