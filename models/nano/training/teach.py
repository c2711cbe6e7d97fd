"""Teaches the multilingual teacher the guard's task, for the further stages.

    python models/nano/training/teach.py --data ../shared/data --out DIR

One shuffled pass over a sample of all rows and generated items; the same command goes on where it
was killed. Its state is written to DIR/teacher.pt. Rows kept aside are not seen, as elsewhere.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import parallel
import teacher
import torch
from data import Item, measured, plain, read_rows
from further import one_pass
from run import Run
from teacher import Teacher
from train import varied

SIZE = 48
"""Items of a batch."""


def batches(items: list[Item], rng: random.Random) -> list[list[Item]]:
    """Items of similar length together, the batches in random order."""
    out = []
    for at in range(0, len(items), 4096):
        part = sorted(items[at : at + 4096], key=teacher.length)
        out += [part[n : n + SIZE] for n in range(0, len(part), SIZE)]
    rng.shuffle(out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write teacher.pt into")
    parser.add_argument("--items", type=int, default=16000)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    parallel.join()
    torch.manual_seed(a.seed)
    a.out.mkdir(parents=True, exist_ok=True)
    seen = measured(a.data / "eval")
    rows = read_rows(a.data / "train")
    training = [r for r in rows if not r.held_out and plain(r.text) not in seen]
    rng = random.Random(a.seed)
    items = [varied(item, rng) for item in one_pass(training, seen, rng, old=0.5)[: a.items]]
    work = batches(items, rng)
    model = Teacher(multilingual=True)
    run = Run(model, a.lr, a.out / "teacher-state.pt")

    def loss(_done: float) -> torch.Tensor:
        part = work[(run.step * parallel.world() + parallel.rank()) % len(work)]
        return teacher.loss_of(model(part)[1], part)

    def keep() -> None:
        new = a.out / "teacher.pt.new"
        torch.save(model.state_dict(), new)
        new.rename(a.out / "teacher.pt")

    run.train(loss, keep, seed=a.seed, steps=len(work) // parallel.world(), minutes=1e9)


if __name__ == "__main__":
    main()
