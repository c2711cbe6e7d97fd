"""Trains `nano-stream`: heads that judge every token, on nano's backbone, which learns with them.

    python models/nano/training/stream_train.py --data ../shared/data --init FOLDER --out DIR

The whole state is written every few minutes, beside and then renamed: the same command goes on
where it was killed, with the same rows in the same order. It does not tune on `eval/`, and does not
convert.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from data import Encoder, Item, measured, plain, read_rows
from model import Config
from run import Run
from stream_model import Stream, save
from stream_rows import UNKNOWN, Labelled, one_pass
from torch import Tensor
from train import continue_from

LONGEST = 400
PASS = 0.5
"""Size of what is generated at a time."""


def groups(
    training: list[Item], seen: set[str], encoder: Encoder, seed: int, tokens: int, at: int
) -> Iterator[list[Labelled]]:
    """Endless groups of about `tokens` padded tokens, from number `at` on."""
    number = count = 0
    while True:
        rng = random.Random(f"stream {seed} {number}")
        rows = one_pass(training, encoder, rng, PASS)
        rows = [r for r in rows if len(r.ids) <= LONGEST and plain(r.item.text) not in seen]
        for start in range(0, len(rows), 4096):
            part = sorted(rows[start : start + 4096], key=lambda r: len(r.ids))
            cut: list[list[Labelled]] = [[]]
            for row in part:
                if (len(cut[-1]) + 1) * len(row.ids) > tokens:
                    cut.append([])
                cut[-1].append(row)
            rng.shuffle(cut)
            for group in cut:
                count += 1
                if count > at:
                    yield group
        number += 1


def padded(rows: list[Labelled]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, risks and categories, each (rows, longest)."""
    width = max(len(r.ids) for r in rows)

    def table(values: list[list[int]], filler: int) -> Tensor:
        return torch.tensor([v + [filler] * (width - len(v)) for v in values])

    return (
        table([r.ids for r in rows], 0),
        table([r.risks for r in rows], UNKNOWN),
        table([r.categories for r in rows], UNKNOWN),
    )


def loss_of(model: Stream, rows: list[Labelled], vocab: int) -> Tensor:
    """Cross-entropy of the risk, a mean over a row's tokens and then over rows; half for names."""
    ids, risks, categories = padded(rows)
    hit = (torch.rand(ids.shape) < 0.02) & (ids < vocab - 100)
    ids = torch.where(hit, torch.randint(0, vocab - 100, ids.shape), ids)
    hidden = model(ids)
    is_prompt = torch.tensor([r.mode == "prompt" for r in rows])
    total = torch.zeros(())
    for side, chosen in ((model.query, is_prompt), (model.response, ~is_prompt)):
        if not chosen.any():
            continue
        risk, category = side(hidden[chosen])
        for scores, truth, weight in (
            (risk, risks[chosen], 1.0),
            (category, categories[chosen], 0.5),
        ):
            known = truth != UNKNOWN
            if not known.any():
                continue
            each = F.cross_entropy(
                scores.flatten(0, 1),
                truth.flatten(),
                ignore_index=UNKNOWN,
                reduction="none",
                label_smoothing=0.02,
            ).view_as(truth)
            rows_of = known.any(1)
            mean = each.sum(1)[rows_of] / known.sum(1)[rows_of]
            total = total + weight * mean.sum() / len(rows)
    return total


def write(model: Stream, encoder: Encoder, names: Path, out: Path) -> None:
    """Save to a folder beside `out`, then rename."""
    new, old = out.with_name(out.name + ".new"), out.with_name(out.name + ".old")
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir(parents=True)
    save(model, new, encoder.end, encoder.special["<|endoftext|>"])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(names / name, new / name)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--init", type=Path, required=True, help="checkpoint of nano")
    parser.add_argument("--out", type=Path, required=True, help="folder to write ckpt/ into")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--minutes", type=float, default=1e9, help="end by then; not repeatable")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--tokens", type=int, default=2500, help="padded tokens a batch")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    a.out.mkdir(parents=True, exist_ok=True)
    seen = measured(a.data / "eval")
    rows = read_rows(a.data / "train")
    training = [r for r in rows if not r.held_out and plain(r.text) not in seen]
    encoder = Encoder(a.init / "tokenizer.json")
    vocab = encoder.tk.get_vocab_size()
    model = Stream(Config(vocab=vocab))
    continue_from(model.backbone, encoder, a.init)
    run = Run(model, a.lr, a.out / "state.pt")
    stream = groups(training, seen, encoder, a.seed, a.tokens, run.step)
    run.train(
        lambda _done: loss_of(model, next(stream), vocab),
        lambda: write(model, encoder, a.init, a.out / "ckpt"),
        seed=a.seed,
        steps=a.steps,
        minutes=a.minutes,
    )


if __name__ == "__main__":
    main()
