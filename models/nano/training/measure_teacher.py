"""What the teacher itself reaches on the measuring sets: about the most that nano can learn of it.

    python models/nano/training/measure_teacher.py DIR/teacher.pt --data ../shared/data --limit 500

It prints the table of evaluate.py, over the same rows; `--out` writes records as that does, so that
breakdown.py can set the teacher beside the model. Nothing is tuned here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from data import Item
from evaluate import Row, rows_of, table
from teacher import Teacher, opinions

from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SEVERITIES

MANY = 100_000
"""Words of a vocabulary, beyond which it is the multilingual teacher's."""


def records(teacher: Teacher, named: list[tuple[str, dict[str, Any]]]) -> list[Row]:
    """One flat record a row, as evaluate.judge gives it."""
    items = [
        Item(tuple(Message(m["role"], m["content"]) for m in row["messages"]), row["label"])
        for _, row in named
    ]
    _, logits = opinions(teacher, items)
    out: list[Row] = []
    for (name, row), item, scores in zip(named, items, logits):
        severity = SEVERITIES[int(scores[:3].argmax())]
        category = CATEGORIES[int(scores[3:-2].argmax())]
        out.append(
            {
                "set": name,
                "id": row["id"],
                "label": row["label"],
                "acceptable": row["categories"],
                "true_refusal": row["refusal"],
                "severity": severity,
                "harm": 1 - float(scores[:3].softmax(-1)[SEVERITIES.index("Safe")]),
                "categories": [] if severity == "Safe" else [category],
                "refusal": REFUSALS[int(scores[-2:].argmax())]
                if mode_of(item.messages) == "response"
                else None,
            }
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("teacher", type=Path, help="teacher.pt of a training run")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--out", type=Path, help="JSON file for the records")
    parser.add_argument("--limit", type=int, default=10**9, help="about so many rows a set")
    a = parser.parse_args()
    state = torch.load(a.teacher)
    words = len(state["encoder.embeddings.word_embeddings.weight"])
    teacher = Teacher(multilingual=words > MANY)
    teacher.load_state_dict(state)
    rows = rows_of(a.data, a.limit)
    named = [(name, row) for name, row in rows if row["messages"][-1]["content"].strip()]
    found = records(teacher.eval(), named)
    if a.out:
        a.out.write_text(json.dumps(found))
    print(table(found))


if __name__ == "__main__":
    main()
