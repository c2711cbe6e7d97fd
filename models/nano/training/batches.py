"""Batches: items of one mode and similar length, padded on the right, with their targets.

A batch can leave out most of the fixed text before and after the conversation (`full=False`):
positions then jump over it, which makes a step four times cheaper. The last part of training
always uses full batches.

It does not choose or change items.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from data import Encoded, Encoder
from torch import Tensor

from edgeguard.protocol.names import SEVERITIES

HEAD, LAST = 24, 8
"""How much of the shared start a short batch keeps: its first and its last tokens."""

TEACHER = 0.4
"""Weight of the teacher's severity where a label is known too."""


@dataclass(frozen=True)
class Batch:
    """Padded ids with their positions, and for each answer part the places that predict it."""

    mode: str
    start: Tensor
    start_positions: Tensor
    ids: Tensor
    positions: Tensor
    text_end: Tensor  # index of the last token of the judged text
    severity_at: Tensor  # index whose hidden state predicts the severity token
    severity: Tensor  # probabilities of the three
    answer_rows: Tensor  # row, index and target of every answer token
    answer_at: Tensor
    answer_ids: Tensor
    answer_key: Tensor  # whether it is the one that begins a category or tells the refusal
    taught: Tensor  # rows that the teacher has seen
    vectors: Tensor  # what it makes of them, (len(taught), 384)
    items: list[Encoded]


def collate(rows: list[Encoded], encoder: Encoder, full: bool) -> Batch:
    mode = rows[0].mode
    start, tail, after = len(encoder.start[mode]), encoder.tail_size[mode], len(encoder.after)
    sequences, positions, at, answers = [], [], [], []
    for n, row in enumerate(rows):
        text = len(row.body) - tail - after
        keep = (
            list(range(len(row.body)))
            if full
            else [*range(text), *range(text + tail, len(row.body))]
        )
        ids = [row.body[i] for i in keep] + row.answer[:-1]
        places = [start + i for i in keep]
        places += [start + len(row.body) + i for i in range(len(row.answer) - 1)]
        sequences.append(ids)
        positions.append(places)
        at.append(len(keep) + row.severity_at - 1)
        key = (row.categories_at[0], row.refusal_at)
        answers += [(n, len(keep) + i - 1, t, i > 0 and i in key) for i, t in enumerate(row.answer)]
    width = -(-max(map(len, sequences)) // 8) * 8
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    places = torch.zeros(len(rows), width, dtype=torch.long)
    for n, (s, p) in enumerate(zip(sequences, positions)):
        ids[n, : len(s)] = torch.tensor(s)
        places[n, : len(p)] = torch.tensor(p)
    kept = list(range(start))
    if not full:
        kept = kept[:HEAD] + kept[-LAST:]
    parts = torch.tensor(answers)
    ends = [len(r.body) - tail - after - 1 for r in rows]
    return Batch(
        mode=mode,
        start=torch.tensor([encoder.start[mode][i] for i in kept]),
        start_positions=torch.tensor(kept),
        ids=ids,
        positions=places,
        text_end=torch.tensor(ends),
        severity_at=torch.tensor(at),
        severity=torch.tensor([_target(r) for r in rows]),
        answer_rows=parts[:, 0],
        answer_at=parts[:, 1],
        answer_ids=parts[:, 2],
        answer_key=parts[:, 3].bool(),
        taught=torch.tensor([n for n, r in enumerate(rows) if r.view], dtype=torch.long),
        vectors=torch.stack([r.view.vector for r in rows if r.view] or [torch.zeros(384)]),
        items=rows,
    )


def _target(row: Encoded) -> tuple[float, ...]:
    """What to learn of the three severities: the label's word, mixed with the teacher's."""
    own = tuple(0.96 if name == row.item.severity else 0.02 for name in SEVERITIES)
    if row.view is None:
        return own
    weight = TEACHER if row.item.labelled else 1.0
    return tuple(a + weight * (b - a) for a, b in zip(own, row.view.severity))


def grouped(
    rows: list[Encoded], tokens: int, rng: random.Random | None, shared: int = 0
) -> Iterator[list[Encoded]]:
    """Groups of one mode and similar length, about `tokens` padded tokens each, in random order."""
    groups: list[list[Encoded]] = []
    for mode in ("prompt", "response"):
        chosen = sorted((r for r in rows if r.mode == mode), key=lambda r: len(r.body))
        group: list[Encoded] = []
        for row in chosen:
            # A few fixed shapes only: the CPU kernels are compiled once a shape.
            width = -(-(len(row.body) - shared + 12) // 16) * 16
            if len(group) >= max(4, tokens // width // 8 * 8):
                groups.append(group)
                group = []
            group.append(row)
        if group:
            groups.append(group)
    if rng is not None:
        rng.shuffle(groups)
    yield from groups
