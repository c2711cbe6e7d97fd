"""Gives a checkpoint of nano a larger vocabulary, with words of many languages.

    python models/nano/training/widen.py --data ../shared/data --init FOLDER --out FOLDER

The new tokens are those that the rows use most, and words that multilingual-e5-small knows. Where a
token begins is what a linear map makes of that encoder's vector of it; the map is fitted to the
tokens that the checkpoint has learned. Nothing is trained here.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import e5
import tokenizer
import torch
import torch.nn.functional as F
from data import Encoder, measured, plain, read_rows
from further import one_pass
from model import Config, Qwen3
from precision import passes
from torch import Tensor
from train import continue_from, write


@torch.no_grad()
def vectors(texts: list[str], size: int = 512) -> Tensor:
    """The encoder's vectors of single words, (n, 384), centred."""
    names, model = e5.tokenizer(), e5.encoder().eval()
    out = torch.zeros(len(texts), 384)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    for at in range(0, len(order), size):
        part = order[at : at + size]
        batch = names([f"query: {texts[n]}" for n in part], padding=True, return_tensors="pt")
        with passes():
            hidden = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None].float()
        out[part] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    return out - out.mean(0)


def start(model: Qwen3, encoder: Encoder, old: set[str]) -> None:
    """Place the tokens that are not in ``old`` by the linear map, in ``model``."""
    texts = {n: encoder.tk.decode([n]).strip() for n in encoder.tk.get_vocab().values()}
    words = [n for n, text in texts.items() if e5.WORD.fullmatch(text)]
    names = encoder.tk.id_to_token
    known = [i for i, n in enumerate(words) if names(n) in old]
    new = [i for i, n in enumerate(words) if names(n) not in old]
    found = vectors([texts[n] for n in words])
    table = model.embed_tokens.weight.data
    rows = table[[words[i] for i in known]]
    centre = rows.mean(0)
    a = found[known]
    solved = torch.linalg.solve(
        a.T @ a + 1e-3 * len(known) * a.var() * torch.eye(384), a.T @ (rows - centre)
    )
    made = found[new] @ solved
    # A linear guess is too small; at the size of the others it counts as much as they do.
    made *= (rows - centre).std() / made.std()
    table[[words[i] for i in new]] = centre + made
    fitted = F.cosine_similarity(a @ solved, rows - centre).mean()
    print(f"{len(known)} words known, {len(new)} new; the map's cosine {fitted:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    parser.add_argument("--init", type=Path, required=True, help="checkpoint folder to widen")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--vocab", type=int, default=45056)
    parser.add_argument("--seed", type=int, default=5)
    a = parser.parse_args()

    torch.manual_seed(a.seed)
    rng = random.Random(a.seed)
    seen = measured(a.data / "eval")
    rows = [r for r in read_rows(a.data / "train") if not r.held_out and plain(r.text) not in seen]
    texts = [
        "\n\n".join(m.content for m in i.messages)[:1500] for i in one_pass(rows, seen, rng, 1.0)
    ]
    real = a.data.parent / "tokenizer"
    old = Encoder(a.init / "tokenizer.json").tk.get_vocab()
    spec = tokenizer.cut(real / "tokenizer.json", texts, e5.known_words(), a.vocab, old)
    names = a.out.with_name(a.out.name + ".tokenizer")
    names.mkdir(parents=True, exist_ok=True)
    tokenizer.save(spec, real / "tokenizer_config.json", names)
    encoder = Encoder(names / "tokenizer.json")
    model = Qwen3(Config(vocab=a.vocab))
    continue_from(model, encoder, a.init)
    start(model, encoder, set(old))
    write(model, encoder, names, a.out)


if __name__ == "__main__":
    main()
