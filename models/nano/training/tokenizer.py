"""A small tokenizer cut from the real Qwen3 tokenizer.

It keeps the 256 byte tokens, every special token, and the merges behind the tokens that a corpus
uses most, behind the fixed text of the protocol, and behind a list of English words. A kept token
keeps all its ancestors and the real order of ranks, so any word whose token is kept is split
exactly as the real tokenizer splits it, and any text at all still tokenizes through bytes.

It trains no merges of its own and does not change normaliser, pre-tokenizer or decoder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer

from edgeguard.protocol.names import CATEGORIES, MODES, REFUSALS, SEVERITIES
from edgeguard.protocol.question import head, tail


def cut(
    source: Path, texts: list[str], words: Iterable[str], size: int, keep: Iterable[str] = ()
) -> dict[str, object]:
    """The tokenizer.json of the small tokenizer, with exactly `size` ids.

    The protocol's texts keep every token, and so does `keep`, tokens by name; then tokens of
    `texts` and single-token `words` compete by count (a word counts as a few uses, so that a common
    word unseen in training is kept).
    """
    spec = json.loads(source.read_text())
    vocab: dict[str, int] = spec["model"]["vocab"]
    merges = [
        tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in spec["model"]["merges"]
    ]
    parents = {a + b: (a, b) for a, b in merges}
    names = {i: token for token, i in vocab.items()}
    full = Tokenizer.from_file(str(source))

    counts: Counter[int] = Counter()
    for encoding in full.encode_batch(texts, add_special_tokens=False):
        counts.update(encoding.ids)
    for encoding in full.encode_batch([f" {word}" for word in words], add_special_tokens=False):
        if len(encoding.ids) == 1:
            counts[encoding.ids[0]] += 10

    kept = {token for token in vocab if token not in parents}  # the bytes
    budget = size - len(spec["added_tokens"])

    def ancestry(token: str) -> set[str]:
        line = set()
        stack = [token]
        while stack:
            name = stack.pop()
            if name not in kept and name not in line:
                line.add(name)
                stack.extend(parents[name])
        return line

    required = [
        i for e in full.encode_batch(fixed_texts(), add_special_tokens=False) for i in e.ids
    ]
    required += [vocab[token] for token in keep if token in vocab]
    ranked = [i for i, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    for i in dict.fromkeys(required + ranked):
        if i in names:
            line = ancestry(names[i])
            if len(kept) + len(line) <= budget:
                kept |= line

    ids = {token: n for n, token in enumerate(sorted(kept, key=vocab.__getitem__))}
    spec["model"]["vocab"] = ids
    spec["model"]["merges"] = [f"{a} {b}" for a, b in merges if a + b in kept]
    for n, added in enumerate(spec["added_tokens"]):
        added["id"] = len(ids) + n
    made: dict[str, object] = spec
    return made


def fixed_texts() -> list[str]:
    """The protocol's own words: their tokens are kept whatever the corpus uses."""
    texts = ["USER: a\n\nASSISTANT: b\n\nUSER: c", "user\n", "assistant\n", "\n\n"]
    for mode in MODES:
        texts += [f"user\n{head(mode)}USER:", tail(mode)]
    for name in SEVERITIES:
        texts += [f"Safety: {name}\nCategories: None\nRefusal: {r}" for r in REFUSALS]
    texts += [f"\nCategories: {name}, {name}\nRefusal: No" for name in CATEGORIES]
    return texts


def save(spec: dict[str, object], real_config: Path, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, the second with the new ids."""
    config = json.loads(real_config.read_text())
    added = spec["added_tokens"]
    assert isinstance(added, list)
    old = {entry["content"]: entry for entry in config["added_tokens_decoder"].values()}
    config["added_tokens_decoder"] = {str(a["id"]): old[a["content"]] for a in added}
    config["model_max_length"] = 4096
    config.pop("chat_template", None)
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    )
