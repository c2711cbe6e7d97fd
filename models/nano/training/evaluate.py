"""Measures a GGUF file on the public measuring sets and on the held-out tenth.

    python models/nano/training/evaluate.py nano.gguf --data ../shared/data --out figures.json

For each set it prints F1 (strict and loose), precision, recall and false alarms of the flag, F1 of
the refusal, and how often an acceptable category is named. `--against FILE.json` compares the
verdicts with an earlier run's, of another quantization for instance; `--diagram FILE.png` draws
how far the stated probability of harm can be believed; breakdown.py reads the records of `--out`.
It also says on how many rows less than half of the probability goes to the words of an answer.

The output holds row ids and figures, never a text. Rows without a known severity count for the
refusal alone. Nothing is tuned here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import packages
from data import REFUSING, Item, crop, is_held_out, measured, plain

from edgeguard import Guard
from edgeguard.decoder import Decoder
from edgeguard.protocol.messages import mode_of

Row = dict[str, object]
T = TypeVar("T")
HALF = 0.5
"""Below this share of the probability on the words of an answer, a row is told apart."""


def rows_of(folder: Path, limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(set name, row): eval/ without texts that train/ holds too, and the held-out tenth."""
    trained = measured(folder / "train")
    for path in sorted((folder / "eval").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        rows = [row for row in rows if plain(row["messages"][-1]["content"]) not in trained]
        for row in thinned(rows, limit):
            yield path.name.removesuffix(".jsonl.gz"), row
    for path in sorted((folder / "train").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [row for row in map(json.loads, lines) if is_held_out(row["id"])]
        for row in thinned(rows, limit):
            yield "held-out " + path.name.removesuffix(".jsonl.gz"), row


def thinned(rows: list[T], limit: int) -> list[T]:
    """Every n-th of the rows, about `limit` of them: their order may follow their topics."""
    return rows[:: max(1, len(rows) // limit)]


def packaged(limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same, for the rows of packages.py that were kept aside."""
    sources: dict[str, list[Item]] = defaultdict(list)
    for item in packages.rows():
        if item.held_out:
            sources[item.source].append(item)
    for name, items in sources.items():
        for n, item in enumerate(crop(i, random.Random(0), 1200) for i in thinned(items, limit)):
            yield (
                f"held-out {name}",
                {
                    "id": f"{name} {n}",
                    "messages": [{"role": m.role, "content": m.content} for m in item.messages],
                    "label": item.severity if item.labelled else "unknown",
                    "categories": list(item.categories),
                    "refusal": item.refusal,
                    "lang": item.lang,
                    "meta": {"task": mode_of(item.messages)},
                },
            )


def judge(guard: Guard, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[Row]:
    """One flat record a row: the truth, and what the model says."""
    records: list[Row] = []
    masses = _masses()
    for name, row in rows:
        if not row["messages"][-1]["content"].strip():
            continue
        masses.clear()
        verdict = guard.check_messages(row["messages"])
        records.append(
            {
                "set": name,
                "id": row["id"],
                "label": row["label"],
                "acceptable": row["categories"],
                "true_refusal": row["refusal"],
                "refusing": bool(REFUSING.search(row["messages"][-1]["content"][:150])),
                "severity": verdict.severity,
                "harm": 1 - verdict.probabilities["Safe"],
                "categories": list(verdict.categories),
                "refusal": verdict.refusal,
                "lang": row["lang"],
                "mode": row["meta"]["task"],
                "chars": len(row["messages"][-1]["content"]),
                "seconds": verdict.seconds,
                "mass": min(masses, default=1.0),
            }
        )
    return records


def _masses() -> list[float]:
    """A list that every answer adds to: its probability on the words of an answer.

    A verdict does not hold it, so it is taken where the runtime refuses a model with too little. So
    a text on which the model says next to nothing counts as its verdict, and ends nothing.
    """
    seen: list[float] = []

    def note(self: Decoder, mass: float) -> None:  # noqa: ARG001 - a method
        seen.append(mass)

    Decoder._check_mass = note  # type: ignore[method-assign]
    return seen


def figures(records: list[Row]) -> dict[str, float | int | None]:
    """The figures of one set; None where a set has no row that could give one."""
    known = [r for r in records if r["label"] != "unknown"]
    out: dict[str, float | int | None] = {"rows": len(records)}
    for policy, harmful in (("strict", ("Unsafe", "Controversial")), ("loose", ("Unsafe",))):
        truth = [r["label"] in harmful for r in known]
        said = [r["severity"] in harmful for r in known]
        tp = sum(t and s for t, s in zip(truth, said))
        fp = sum(s and not t for t, s in zip(truth, said))
        fn = sum(t and not s for t, s in zip(truth, said))
        out[f"f1_{policy}"] = _ratio(2 * tp, 2 * tp + fp + fn) if any(truth) else None
        if policy == "strict":
            out["precision"] = _ratio(tp, tp + fp) if any(truth) else None
            out["recall"] = _ratio(tp, tp + fn)
            out["false_alarms"] = _ratio(fp, len(known) - sum(truth))
    asked = [r for r in records if r["true_refusal"]]
    hit = sum(r["true_refusal"] == r["refusal"] == "Yes" for r in asked)
    wrong = sum(r["true_refusal"] != r["refusal"] for r in asked)
    out["f1_refusal"] = _ratio(2 * hit, 2 * hit + wrong)
    named = [r for r in known if r["acceptable"] and "Safe" not in (r["label"], r["severity"])]
    right = sum(bool(set(r["categories"]) & set(r["acceptable"])) for r in named)  # type: ignore[call-overload]
    out["category"] = _ratio(right, len(named))
    return out


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


def table(records: list[Row]) -> str:
    """A Markdown table, a line a set, and the pools of the held-out tenth."""
    sets: dict[str, list[Row]] = defaultdict(list)
    for record in records:
        name = str(record["set"])
        sets[name].append(record)
        if name.startswith("held-out "):
            sets["held-out, all"].append(record)
            if "benign" in name:
                sets["held-out, benign sets"].append(record)
    lines: list[str] = []
    for name, group in sets.items():
        row = figures(group)
        if not lines:
            lines = ["| set | " + " | ".join(row) + " |", "|---" * (len(row) + 1) + "|"]
        cells = ["–" if value is None else str(value) for value in row.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def diagram(records: list[Row], file: Path) -> None:
    """Stated probability of harm against how often the row is harmful, in ten bins."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5, 4))
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for title, held in (("held-out tenth", True), ("measuring sets", False)):
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
        for r in records:
            if r["label"] != "unknown" and str(r["set"]).startswith("held-out") == held:
                p = float(str(r["harm"]))
                bins[min(9, int(p * 10))].append((p, r["label"] != "Safe"))
        means = [[sum(column) / len(b) for column in zip(*b)] for b in bins if len(b) >= 20]
        axis.plot([x for x, _ in means], [y for _, y in means], marker="o", label=title)
    axis.set_xlabel("probability of Unsafe or Controversial, as stated")
    axis.set_ylabel("share that is harmful")
    axis.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", help="a GGUF file, or the name of an installed model")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the records")
    parser.add_argument("--limit", type=int, default=10**9, help="about so many rows a set")
    parser.add_argument("--packages", action="store_true", help="rows of packages.py too")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--against", type=Path, help="records of another run to compare with")
    parser.add_argument("--diagram", type=Path, help="PNG file for a reliability diagram")
    a = parser.parse_args()
    with Guard(a.model, threads=a.threads) as guard:
        rows = rows_of(a.data, a.limit)
        records = judge(guard, chain(rows, packaged(a.limit)) if a.packages else rows)
    a.out.write_text(json.dumps(records))
    print(table(records))
    seconds = sorted(float(str(r["seconds"])) for r in records)
    print(f"\nmedian {seconds[len(seconds) // 2] * 1000:.0f} ms a check, {len(records)} rows")
    few = [float(str(r["mass"])) for r in records if float(str(r["mass"])) < HALF]
    lowest = min(float(str(r["mass"])) for r in records)
    print(f"{len(few)} rows with less than half on the words of an answer, the lowest {lowest:.3f}")
    if a.against:
        other = {(r["set"], r["id"]): r["severity"] for r in json.loads(a.against.read_text())}
        pairs = [(r["severity"], other.get((r["set"], r["id"]))) for r in records]
        same = [x == y for x, y in pairs if y is not None]
        print(f"same severity as {a.against.name}: {sum(same) / len(same):.2%} of {len(same)}")
    if a.diagram:
        diagram(records, a.diagram)


if __name__ == "__main__":
    main()
