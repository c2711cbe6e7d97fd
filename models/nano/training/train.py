"""Trains `nano` from nothing and writes a Hugging Face checkpoint folder.

    python models/nano/training/train.py --data ../shared/data --out DIR

The weights are kept in float32; the passes run in bfloat16 where torch has kernels for it. The
severity is learned by cross-entropy over its three tokens; a part of every batch learns the whole
answer over the whole vocabulary. A checkpoint is written every few minutes, beside, then renamed.

It does not tune on `eval/`, and does not convert or quantize.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import synthetic
import teacher
import tokenizer
import torch
import torch.nn.functional as F
from batches import Batch, collate, grouped
from data import Encoded, Encoder, Item, crop, draw, measured, noise, plain, read_rows
from heldout import measure, report
from model import Config, Qwen3, save_checkpoint
from precision import PASSES
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeguard.protocol.messages import Message


class Master:
    """AdamW on a float32 copy of bfloat16 weights."""

    def __init__(self, live: list[nn.Parameter], lr: float) -> None:
        self.live = live
        self.copy = [p.detach().float().clone() for p in self.live]
        decay = [p for p in self.copy if p.dim() > 1]
        plain = [p for p in self.copy if p.dim() == 1]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)

    def step(self, lr: float) -> None:
        for copy, live in zip(self.copy, self.live):
            copy.grad = live.grad.float() if live.grad is not None else None
            live.grad = None
        torch.nn.utils.clip_grad_norm_(self.copy, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        with torch.no_grad():
            for copy, live in zip(self.copy, self.live):
                live.copy_(copy)


def varied(item: Item, rng: random.Random) -> Item:
    """An item as this epoch sees it: cropped, and now and then with typing noise."""
    limit = rng.choice((300, 500, 700)) if rng.random() < 0.85 else 1200
    item = crop(item, rng, limit)
    if item.labelled and rng.random() < 0.5:
        last = item.messages[-1]
        messages = (*item.messages[:-1], Message(last.role, noise(last.content, rng)))
        item = replace(item, messages=messages)
    return item


def stream(
    make: Callable[[], list[Item]],
    judge: teacher.Teacher | None,
    encoder: Encoder,
    rng: random.Random,
    tokens: int,
) -> Iterator[list[Encoded]]:
    """Endless groups of items: one shuffled pass after the other, seen by the teacher."""
    while True:
        epoch = make()
        rng.shuffle(epoch)
        for at in range(0, len(epoch), 4096):
            part = [varied(i, rng) for i in epoch[at : at + 4096]]
            seen = teacher.views(judge, part) if judge else [(i, None) for i in part]
            rows = [encoder.encode(item, rng, view) for item, view in seen]
            yield from grouped(rows, tokens, rng, shared=80)


def distance(reader: nn.Linear, middle: Tensor, batch: Batch) -> Tensor:
    """How far the teacher's vectors are from what `reader` makes of the states, 0 to 2.

    Read where the severity is decided, before the last two layers.
    """
    if not len(batch.taught):
        return torch.zeros(())
    states = middle[batch.taught, batch.severity_at[batch.taught]]
    states = F.rms_norm(states, states.shape[-1:])
    return 1 - F.cosine_similarity(reader(states).float(), batch.vectors, dim=-1).mean()


def loss_of(model: Qwen3, hidden: Tensor, batch: Batch, encoder: Encoder, words: float) -> Tensor:
    """What the answer should be, among the answers there are; times `words`, among all words.

    The runtime lets the model write nothing but an answer. The second is what makes it a model
    that would write one unasked, which the runtime checks; it needs few steps.
    """
    table = model.embed_tokens.weight
    rows = torch.arange(len(batch.items))
    scores = hidden[rows, batch.severity_at] @ table[encoder.severity_ids].T
    loss = F.cross_entropy(scores.float(), batch.severity)

    choices = torch.tensor(encoder.choice_ids)
    # Not "None", which the severity decides.
    key = batch.answer_key & torch.isin(batch.answer_ids, choices)
    if key.any():
        scores = hidden[batch.answer_rows[key], batch.answer_at[key]] @ table[choices].T
        truth = (batch.answer_ids[key][:, None] == choices).float().argmax(1)
        loss = loss + 0.5 * F.cross_entropy(scores.float(), truth)

    some = (torch.rand(len(batch.items)) < 0.15)[batch.answer_rows]
    states = hidden[batch.answer_rows[some], batch.answer_at[some]]
    if len(states):
        scores = (states @ table.T).float()
        loss = loss + words * F.cross_entropy(scores, batch.answer_ids[some])
    return loss


def corrupt(batch: Batch, vocab: int, rate: float) -> None:
    """Replace a few tokens of the judged texts, so that no single word decides."""
    inside = torch.arange(batch.ids.shape[1])[None] < batch.text_end[:, None]
    hit = inside & (torch.rand(batch.ids.shape) < rate)
    batch.ids[hit] = torch.randint(0, vocab, (int(hit.sum()),))


def write(model: Qwen3, encoder: Encoder, names: Path, out: Path) -> None:
    """Save to a folder beside `out`, then rename."""
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    save_checkpoint(model, new, encoder.end, encoder.special["<|endoftext|>"])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(names / name, new / name)
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def prepare_tokenizer(folder: Path, real: Path, items: list[Item], size: int) -> None:
    """Cut the tokenizer from the real one."""
    texts = ["\n\n".join(m.content for m in i.messages)[:1500] for i in items]
    spec = tokenizer.cut(real / "tokenizer.json", texts, teacher.words(), size)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(spec, real / "tokenizer_config.json", folder)


def prepare_teacher(file: Path, items: list[Item], rng: random.Random) -> teacher.Teacher:
    """Teach the sentence encoder on the English items, or load one taught before."""
    if not file.exists():
        english = [crop(i, rng, 500) for i in items if i.lang == "en"]
        rng.shuffle(english)
        taught = teacher.train([varied(i, rng) for i in english], rng)
        torch.save(taught.state_dict(), file)
    model = teacher.Teacher()
    model.load_state_dict(torch.load(file))
    model.eval()
    return model


def start_embedding(model: Qwen3, encoder: Encoder) -> None:
    """Start every English word of the vocabulary where the sentence encoder puts it."""
    names = [encoder.tk.decode([i]) for i in range(encoder.tk.get_vocab_size())]
    rows = [i for i, n in enumerate(names) if n.strip().isascii() and n.strip().isalpha()]
    rows = [i for i in rows if len(names[i].strip()) >= 3]
    vectors = teacher.word_vectors([names[i].strip().lower() for i in rows], model.c.hidden)
    with torch.no_grad():
        table = model.embed_tokens.weight
        table[rows] = 0.3 * table[rows] + 0.95 * 0.04 * vectors


def continue_from(model: Qwen3, encoder: Encoder, folder: Path) -> None:
    """Start from an earlier checkpoint; embeddings move by token, as vocabularies may differ."""
    weights = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("model."): w.float() for name, w in weights.items()}
    table = weights.pop("embed_tokens.weight")
    model.load_state_dict(weights, strict=False)
    old = json.loads((folder / "tokenizer.json").read_text())
    ids = old["model"]["vocab"] | {t["content"]: t["id"] for t in old["added_tokens"]}
    with torch.no_grad():
        for token, new in encoder.tk.get_vocab().items():
            if token in ids:
                model.embed_tokens.weight[new] = table[ids[token]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--real-tokenizer", type=Path, help="Qwen3's tokenizer (DATA/../tokenizer)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write ckpt/ into")
    parser.add_argument("--init", type=Path, help="checkpoint folder to start from")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=1e9, help="end by then; not repeatable")
    parser.add_argument("--full-from", type=float, default=0.85, help="part with full questions")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--words", type=float, default=0.1, help="weight of the whole answer")
    parser.add_argument("--tokens", type=int, default=6000, help="padded tokens a batch")
    parser.add_argument("--vocab", type=int, default=24576)
    parser.add_argument(
        "--explore", type=int, default=20000, help="phrases a pass for the teacher; 0: none"
    )
    parser.add_argument("--generated", type=float, default=1.0, help="size of the generated part")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = random.Random(a.seed)
    a.out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(a.data / "train")
    seen = measured(a.data / "eval")
    training = [r for r in rows if not r.held_out and plain(r.text) not in seen]
    tuning = [r for r in rows if r.held_out]
    tuning = [crop(r, random.Random(0), 1200) for r in random.Random(0).sample(tuning, 600)]

    def mixed(rng: random.Random, size: float) -> list[Item]:
        """One pass over the public rows, with generated ones."""
        items = [*synthetic.make(rng, size), *synthetic.spoken(rng, training, int(1500 * size))]
        return [*draw(training, rng), *items]

    real = a.real_tokenizer or a.data.parent / "tokenizer"
    if not (a.out / "tokenizer" / "tokenizer.json").exists():
        texts = mixed(random.Random(a.seed), 0.3)
        prepare_tokenizer(a.out / "tokenizer", real, texts, a.vocab)
    encoder = Encoder(a.out / "tokenizer" / "tokenizer.json")
    judge = None
    if a.explore:
        lessons = [i for i in mixed(random.Random(a.seed), 1.0) if plain(i.text) not in seen]
        judge = prepare_teacher(a.out / "teacher.pt", lessons, random.Random(a.seed))
        teacher.name_categories(judge, training)
    names = teacher.words()

    def one_pass() -> list[Item]:
        items = mixed(rng, a.generated)
        if a.explore:
            items += synthetic.explore(rng, names, training, a.explore)
        return [i for i in items if plain(i.text) not in seen]

    torch.manual_seed(a.seed)
    model = Qwen3(Config(vocab=a.vocab))
    if a.init:
        continue_from(model, encoder, a.init)
    else:
        start_embedding(model, encoder)
    model = model.to(PASSES)
    for layer in model.layers:
        layer.compile(dynamic=True)
    reader = nn.Linear(model.c.hidden, 384).to(PASSES)
    master = Master([*model.parameters(), *reader.parameters()], a.lr)
    groups = stream(one_pass, judge, encoder, rng, a.tokens)
    began = saved = time.time()
    smooth = far = 0.0
    for step in range(a.steps):
        done = max(step / a.steps, (time.time() - began) / 60 / a.minutes)
        if done >= 1:
            break
        batch = collate(next(groups), encoder, full=done >= a.full_from or step % 10 == 9)
        corrupt(batch, a.vocab, 0.03)
        past = model.prefix(batch.start, batch.start_positions)
        hidden, middle = model(batch.ids, batch.positions, past)
        gap = distance(reader, middle, batch)
        loss = loss_of(model, hidden, batch, encoder, a.words)
        (loss + gap).backward()
        master.step(a.lr * min(1.0, step / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5)
        if len(batch.taught):
            far += (gap.item() - far) * (0.02 if step else 1)
        smooth += (loss.item() - smooth) * (0.02 if step else 1)
        if step % 50 == 49:
            print(
                f"step {step + 1} loss {smooth:.3f} gap {far:.3f} {time.time() - began:.0f}s",
                flush=True,
            )
        if time.time() - saved > 360:
            write(model, encoder, a.out / "tokenizer", a.out / "ckpt")
            print(report(tuning[:200], measure(model, encoder, tuning[:200])), flush=True)
            saved = time.time()
    write(model, encoder, a.out / "tokenizer", a.out / "ckpt")
    print(f"{step} steps", report(tuning, measure(model, encoder, tuning)), flush=True)


if __name__ == "__main__":
    main()
