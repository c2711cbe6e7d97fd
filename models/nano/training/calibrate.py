"""Fits how sure a checkpoint says it is, on the rows that were kept aside. The last stage.

    python models/nano/training/calibrate.py --data ../shared/data --init FOLDER --out FOLDER

Only the words of the three severities move: a temperature, and for each mode what is added to
Unsafe and to Controversial, five numbers in all. Every source counts the same; so do harmful and
harmless rows. Then both harmful words of prompts move together until a wanted share of the everyday
requests is flagged. Half of the rows fit them; the figures that are printed are of the other half.

It never opens `eval/`, and trains nothing else.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from pathlib import Path

import packages
import torch
import torch.nn.functional as F
from data import Encoder, Item, crop, read_rows
from heldout import states
from model import Config, Qwen3
from torch import Tensor
from train import continue_from, write

from edgeguard.protocol.messages import mode_of
from edgeguard.protocol.names import SEVERITIES

MODES = ("prompt", "response")


@dataclass(frozen=True)
class Rows:
    """The state that decides each row's severity, its mode, the truth, and how much it counts.

    ``everyday``: whether it is a prompt of a set that holds nothing harmful.
    """

    states: Tensor
    modes: Tensor
    truth: Tensor
    weights: Tensor
    everyday: Tensor

    def part(self, which: int) -> Rows:
        """Every second row."""
        return self.where(torch.arange(which, len(self.modes), 2))

    def where(self, chosen: Tensor) -> Rows:
        """The rows that are chosen, by number or by a mask."""
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))


def kept(rows: list[Item], limit: int) -> list[Item]:
    """At most so many of the rows kept aside of each source, in random order."""
    sources: dict[str, list[Item]] = defaultdict(list)
    for row in rows:
        if row.held_out:
            sources[row.source].append(row)
    rng = random.Random(0)
    found = [row for part in sources.values() for row in rng.sample(part, min(limit, len(part)))]
    rng.shuffle(found)
    return [crop(row, random.Random(0), 1200) for row in found]


def is_everyday(item: Item) -> bool:
    """Whether it is a request of a set without harm; code, tests of bias and exams ask nothing."""
    if item.source in ("benign_bbq", "benign_humaneval", "benign_MMLU/test"):
        return False
    return item.source.startswith("benign_") and mode_of(item.messages) == "prompt"


def weights(items: list[Item]) -> Tensor:
    """Of a mode, harmful and harmless rows weigh the same; of those, each source."""
    groups = [(mode_of(i.messages), i.severity != "Safe", i.source) for i in items]
    sizes = Counter(groups)
    sources = Counter((mode, harm) for mode, harm, _ in sizes)
    found = torch.tensor([1 / sizes[g] / sources[g[:2]] for g in groups])
    return found * len(items) / found.sum()


def directions(rows: Rows) -> Tensor:
    """Two vectors (2, hidden): the first is 1 on a prompt's mean state and 0 on a response's."""
    means = torch.stack([rows.states[rows.modes == n].mean(0) for n in range(len(MODES))])
    return torch.linalg.pinv(means).T


def moved(words: Tensor, along: Tensor, heat: Tensor, shift: Tensor) -> Tensor:
    """The words of the severities with a temperature, and with what is added to two of them."""
    centre = words.mean(0)
    added = torch.cat([torch.zeros(1, len(MODES)), shift])
    return centre + heat.exp() * (words - centre) + added @ along


def loss(rows: Rows, words: Tensor) -> Tensor:
    """The weighted cross-entropy of the severities."""
    found = F.cross_entropy(rows.states @ words.T, rows.truth, reduction="none")
    return (found * rows.weights).mean()


def fit(rows: Rows, words: Tensor, along: Tensor) -> Tensor:
    """The words that fit the rows best."""
    heat, shift = torch.zeros((), requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    optimizer = torch.optim.LBFGS([heat, shift], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        # Pulled a little to where the training left it.
        found = loss(rows, moved(words, along, heat, shift)) + 1e-3 * (heat**2 + shift.pow(2).sum())
        found.backward()
        return found

    optimizer.step(closure)
    print(f"scale {heat.exp().item():.2f}, added {shift.detach().numpy().round(2).tolist()}")
    return moved(words, along, heat, shift).detach()


def at_rate(rows: Rows, words: Tensor, along: Tensor, rate: float) -> Tensor:
    """The words with which so many of the everyday requests are flagged, a mean of the sources."""
    asked = rows.where(rows.everyday)
    low, high = -4.0, 4.0
    for _ in range(30):
        middle = (low + high) / 2
        added = torch.tensor([[0.0, 0.0], [middle, 0.0], [middle, 0.0]])
        new = words + added @ along
        flagged = (asked.states @ new.T).argmax(-1) != SEVERITIES.index("Safe")
        share = (flagged * asked.weights).sum() / asked.weights.sum()
        low, high = (low, middle) if share > rate else (middle, high)
    print(f"added to prompts for {rate:.0%} of {len(flagged)} everyday ones: {middle:.2f}")
    return new


def say(title: str, rows: Rows, words: Tensor) -> None:
    """Loss, F1, false alarms and calibration error, weighted, of each mode."""
    for n, mode in enumerate(MODES):
        part = rows.where(rows.modes == n)
        p = (part.states @ words.T).softmax(-1)
        safe = SEVERITIES.index("Safe")
        flagged, harm, w = p.argmax(-1) != safe, part.truth != safe, part.weights
        hits, alarms = (w * (flagged & harm)).sum(), (w * (flagged & ~harm)).sum()
        f1 = 2 * hits / (hits + alarms + (w * harm).sum())
        stated = 1 - p[:, safe]
        bins = (stated * 10).long().clamp(max=9)
        gaps = torch.zeros(10).index_add_(0, bins, w * (stated - harm.float()))
        print(
            f"{title}, {mode}: loss {loss(part, words) / w.mean():.3f} F1 {f1:.3f} "
            f"false alarms {alarms / (w * ~harm).sum():.3f} ECE {gaps.abs().sum() / w.sum():.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/")
    parser.add_argument("--init", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--limit", type=int, default=150, help="rows of a source")
    parser.add_argument("--everyday", type=float, default=0.06, help="share that may be flagged")
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    known = [row for row in packages.rows() if row.labelled]
    items = kept([*read_rows(a.data / "train"), *known], a.limit)
    encoder = Encoder(a.init / "tokenizer.json")
    model = Qwen3(Config(vocab=encoder.tk.get_vocab_size()))
    continue_from(model, encoder, a.init)
    rows = Rows(
        states(model, encoder, items),
        torch.tensor([MODES.index(mode_of(i.messages)) for i in items]),
        torch.tensor([SEVERITIES.index(i.severity) for i in items]),
        weights(items),
        torch.tensor([is_everyday(item) for item in items]),
    )
    table = model.embed_tokens.weight.data
    words = table[encoder.severity_ids].clone()
    along = directions(rows.part(0))
    new = at_rate(rows.part(0), fit(rows.part(0), words, along), along, a.everyday)
    say("before", rows.part(1), words)
    say("after", rows.part(1), new)
    table[encoder.severity_ids] = new
    write(model, encoder, a.init, a.out)


if __name__ == "__main__":
    main()
