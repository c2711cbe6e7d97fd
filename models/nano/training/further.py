"""Trains `nano` further, from a checkpoint or from the packaged file, on all that there is now.

    python models/nano/training/further.py --data ../shared/data --init FOLDER --out DIR

The learning rate falls by a cosine over `--steps`, or over `--minutes` of training, whichever is
further. The whole state is written every few minutes, beside and then renamed: the same command
goes on where it was killed, with the same rows in the same order.

With `--teacher`, the multilingual teacher's state that teach.py wrote, its opinion stands beside
the labels of the rows that it can read. It does not tune on `eval/`, and does not convert or
quantize.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import interface
import packages
import parallel
import synthetic
import torch
import unlabelled
import wrapped
from batches import collate, grouped
from data import Encoded, Encoder, Item, crop, draw, measured, plain, read_rows
from heldout import measure, report
from model import Config, Qwen3
from precision import passes
from run import Run
from teacher import Teacher, views
from torch import nn
from train import continue_from, corrupt, distance, loss_of, varied, write

LONGEST = 640
"""Tokens of a row; longer ones, in scripts with many tokens a letter, are left out."""
PART = 4096
"""Rows that are sorted into batches together."""
OLD = 0.25
"""How much of the earlier stages' rows is seen again, of each pass."""
VIEWED = 3
"""Every so many steps the teacher's opinion stands beside the labels; it takes its time."""


def one_pass(
    training: list[Item], seen: set[str], rng: random.Random, old: float = OLD
) -> list[Item]:
    """A pass over the rows: the new ones whole, a part of the earlier ones."""
    public = [i for i in draw(training, rng) if i.source in NEW or rng.random() < old]
    made = [
        *synthetic.make(rng, old),
        *synthetic.spoken(rng, training, 700),
        *wrapped.make(rng, training),
        *packages.one_pass(rng),
    ]
    items = [i for i in [*public, *made] if plain(i.text) not in seen]
    rng.shuffle(items)
    return items


NEW = (
    "benign_banking77",
    "benign_bbq",
    "benign_clinc",
    "benign_tldr",
    "germeval2018",
    "gptfuzz_replies",
    "korean_hate",
    "told_br",
    "toxigen_prompts",
)


def batches(
    training: list[Item],
    seen: set[str],
    encoder: Encoder,
    seed: int,
    tokens: int,
    at: int,
    old: float,
    explore: int = 0,
    programs: bool = False,
) -> Iterator[list[Encoded]]:
    """Endless groups of items from number `at` on; the same for the same seed."""
    number = count = 0
    while True:
        rng = random.Random(f"{seed} {number}")
        items = one_pass(training, seen, rng, old)
        if programs:
            items += interface.make(rng)
        if explore:
            items += unlabelled.make(rng, training, explore)
        if programs or explore:
            rng.shuffle(items)
        for start in range(0, len(items), PART):
            part = [_seen(i, rng) for i in items[start : start + PART]]
            rows = [encoder.encode(item, rng) for item in part]
            rows = [row for row in rows if len(row.body) < LONGEST]
            for group in parallel.alike(list(grouped(rows, tokens, rng, shared=80)), cost, rng):
                count += 1
                if count > at and count % parallel.world() == parallel.rank():
                    yield group
        number += 1


def cost(group: list[Encoded]) -> int:
    """About how long a group takes."""
    return len(group) * max(len(row.body) + len(row.answer) for row in group)


def viewed(judge: Teacher, encoder: Encoder, group: list[Encoded], every: bool) -> list[Encoded]:
    """The same items, with what the teacher makes of `every` one that it can read.

    Otherwise of those alone that have no label, whose answer is the teacher's too.
    """
    asked = [n for n, row in enumerate(group) if every or not row.item.labelled]
    out = list(group)
    for n, (item, view) in zip(asked, views(judge, [group[n].item for n in asked])):
        labelled = group[n].item.labelled
        out[n] = replace(group[n], view=view) if labelled else encoder.encode(item, None, view)
    return out


def _seen(item: Item, rng: random.Random) -> Item:
    """An item as this pass sees it: what is long on purpose is left whole."""
    if item.source == wrapped.LONG:
        return item
    return varied(item, rng)


def _teacher(file: Path) -> Teacher:
    judge = Teacher(multilingual=True)
    judge.load_state_dict(torch.load(file))
    judge.eval()
    return judge


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--init", type=Path, required=True, help="checkpoint folder to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder to write ckpt/ into")
    parser.add_argument("--teacher", type=Path, help="teacher.pt of teach.py")
    parser.add_argument("--old", type=float, default=OLD, help="part of the earlier rows in a pass")
    parser.add_argument(
        "--explore", type=int, default=0, help="made-up phrases a pass, for the teacher to judge"
    )
    parser.add_argument(
        "--programs", action="store_true", help="lines of programs too, in a hundred languages"
    )
    parser.add_argument("--steps", type=int, default=389)
    parser.add_argument("--minutes", type=float, default=1e9, help="end by then; not repeatable")
    parser.add_argument("--full-from", type=float, default=0.9, help="part with full questions")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--words", type=float, default=0.5, help="weight of the whole answer")
    parser.add_argument("--tokens", type=int, default=3000, help="padded tokens a batch")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true", help="where there is no C++ compiler")
    a = parser.parse_args()
    if a.explore and not a.teacher:
        parser.error("--explore needs a --teacher")

    torch.set_num_threads(a.threads)
    parallel.join()
    torch.manual_seed(a.seed)
    a.out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(a.data / "train")
    seen = measured(a.data / "eval")
    training = [r for r in rows if not r.held_out and plain(r.text) not in seen]
    tuning = [r for r in rows if r.held_out]
    tuning = [crop(r, random.Random(0), 1200) for r in random.Random(0).sample(tuning, 500)]
    encoder = Encoder(a.init / "tokenizer.json")

    model = Qwen3(Config(vocab=encoder.tk.get_vocab_size()))
    continue_from(model, encoder, a.init)
    if not a.no_compile:
        for layer in model.layers:
            layer.compile(dynamic=True)
    judge = _teacher(a.teacher) if a.teacher else None
    reader = nn.Linear(model.c.hidden, 384)
    run = Run(nn.ModuleList([model, reader]), a.lr, a.out / "state.pt")
    groups = batches(
        training,
        seen,
        encoder,
        a.seed,
        a.tokens,
        run.step * parallel.world(),
        a.old,
        a.explore,
        a.programs,
    )

    def loss(done: float) -> torch.Tensor:
        full = done >= a.full_from or run.step % 24 == 23
        group = next(groups)
        if judge is not None:
            group = viewed(judge, encoder, group, every=run.step % VIEWED == 1)
        batch = collate(group, encoder, full=full)
        corrupt(batch, model.c.vocab, 0.03)
        with passes():
            past = model.prefix(batch.start, batch.start_positions)
            hidden, middle = model(batch.ids, batch.positions, past)
            gap = distance(reader, middle, batch)
            return gap + loss_of(model, hidden, batch, encoder, a.words)

    def keep() -> None:
        write(model, encoder, a.init, a.out / "ckpt")

    run.train(loss, keep, seed=a.seed, steps=a.steps, minutes=a.minutes)
    if parallel.rank() == 0:
        print(f"{run.step} steps", report(tuning, measure(model, encoder, tuning)), flush=True)


if __name__ == "__main__":
    main()
