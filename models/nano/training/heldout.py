"""What the model says about the held-out tenth while it trains.

It runs the torch model; evaluate.py measures the finished file through the real runtime.
"""

from __future__ import annotations

import torch
from batches import collate, grouped
from data import Encoder, Item
from model import Qwen3
from torch import Tensor


@torch.no_grad()
def states(model: Qwen3, encoder: Encoder, items: list[Item], tokens: int = 8000) -> Tensor:
    """The states that decide the severities, with the full question, in the order of `items`."""
    model.eval()
    encoded = [encoder.encode(item) for item in items]
    order = {id(e): n for n, e in enumerate(encoded)}
    out = torch.zeros(len(items), model.c.hidden)
    for group in grouped(encoded, tokens, None):
        batch = collate(group, encoder, full=True)
        past = model.prefix(batch.start, batch.start_positions)
        hidden, _ = model(batch.ids, batch.positions, past)
        places = torch.tensor([order[id(e)] for e in group])
        out[places] = hidden[torch.arange(len(group)), batch.severity_at].float()
    model.train()
    return out


def measure(model: Qwen3, encoder: Encoder, items: list[Item]) -> list[list[float]]:
    """Probabilities of the severities, with the full question, in the order of `items`."""
    words = model.embed_tokens.weight.detach()[encoder.severity_ids].float()
    found: list[list[float]] = (states(model, encoder, items) @ words.T).softmax(-1).tolist()
    return found


def report(items: list[Item], probabilities: list[list[float]]) -> str:
    """F1 strict over all, and errors a source, on the held-out tenth."""
    hits: dict[str, list[int]] = {}
    for item, p in zip(items, probabilities):
        cell = hits.setdefault(item.source, [0, 0, 0, 0])
        truth, said = item.severity != "Safe", p[0] < max(p[1], p[2])
        cell[2 * truth + said] += 1
    total = [sum(c[i] for c in hits.values()) for i in range(4)]
    f1 = 2 * total[3] / max(1, 2 * total[3] + total[1] + total[2])
    parts = [f"held-out F1 {f1:.3f}"]
    for source, (tn, fp, fn, tp) in sorted(hits.items()):
        rate = f"r{tp / (tp + fn):.2f}" if tp + fn else ""
        rate += f"f{fp / (tn + fp):.2f}" if tn + fp else ""
        parts.append(f"{source.replace('benign_', 'b_')[:12]} {rate}")
    return " ".join(parts)
