"""tokenizer.json in the form that llama.cpp needs: tokens by id, their types, merges, special ids.

The reference recognises a tokenizer by hashing its output for a test text, and so knows only
published ones. Here, the rules themselves are compared with Qwen's: normalizer, splitting pattern
and byte-level steps must be the same, because llama.cpp's `qwen2` does exactly those. Types and
special ids follow conversion/base.py and gguf-py's vocab.py.

This module tokenizes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.convert.config import Config
from edgeguard.convert.files import read_json, short
from edgeguard.errors import ConversionError
from edgeguard.gguf.vocabulary import PUBLISHED, is_published
from edgeguard.protocol.question import CONTROLS

_logger = logging.getLogger(__name__)

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama_token_type in llama.h

MODEL, PRE = "gpt2", "qwen2"
"""What llama.cpp calls byte-level BPE, and Qwen's way to split a text before it."""

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = tuple(
    # The characters that stand for single bytes in byte-level BPE (GPT-2's encoder.py).
    chr(byte)
    for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100), *range(0x100, 0x144))
)
_CONTROL_LIKE = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, each with its type; merges as "left right"; special token ids by kind."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    special_ids: Mapping[str, int]


def read_vocabulary(folder: Path, config: Config) -> Vocabulary:
    """Read the tokenizer's files. Raises ConversionError unless it is complete and like Qwen3's."""
    path = folder / "tokenizer.json"
    content = read_json(path)
    settings = read_settings(folder)
    _check_rules(path, content)
    vocab = _vocab(path, content["model"])
    added = _added_tokens(path, content, settings)
    tokens, types = _in_order(path, vocab, added, config.vocab_size)
    for control in CONTROLS:
        if control.text not in added:
            raise _wrong(path, f"it lacks the token {control.text}")
    _check_texts(path, tokens)
    special_ids = {**config.token_ids, **_special_ids(settings, added)}
    for kind, number in special_ids.items():
        if not 0 <= number < config.vocab_size:
            raise _wrong(path, f"the {kind} token has the id {number} of {config.vocab_size}")
    merges = _merges(path, content["model"], vocab)
    _check_reached(path, merges, vocab)
    if config.vocab_size >= PUBLISHED:
        _compare(path, tokens, merges)
    return Vocabulary(tokens, types, merges, special_ids)


def read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, which a checkpoint need not have."""
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.exists() else {}


def _check_rules(path: Path, content: Mapping[str, Any]) -> None:
    """Check that the tokenizer does the same as llama.cpp's qwen2, step by step."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _PATTERN}, "behavior": "Isolated"}
    steps = {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split | {"invert": False}, byte_level],
        },
        "post_processor": {"type": "ByteLevel"},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": None, "byte_fallback": False, "ignore_merges": False},
    }
    for step, wanted in steps.items():
        if not _includes(content.get(step), wanted):
            raise _wrong(path, f"its {step} is not Qwen3's")


def _includes(found: object, wanted: object) -> bool:
    """Whether `found` has all of `wanted`, and perhaps more. Absent keys mean the default."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            _includes(found.get(key, False if value is False else None), value)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_includes(f, w) for f, w in zip(found, wanted))
        )
    return found == wanted


def _vocab(path: Path, model: Mapping[str, Any]) -> dict[str, int]:
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not all(_is_id(number) for number in vocab.values()):
        raise _wrong(path, "its model.vocab is not a table of tokens and ids")
    for character in _BYTES:
        if character not in vocab:
            raise _wrong(path, f"it lacks the byte token {character!r}")
    return vocab


@dataclass(frozen=True)
class _Added:
    number: int
    special: bool


def _added_tokens(
    path: Path, content: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, _Added]:
    """The tokens beside the BPE vocabulary, by their text, from both files."""
    listed = content.get("added_tokens") or []
    decoder = settings.get("added_tokens_decoder") or {}
    if not isinstance(listed, list) or not isinstance(decoder, dict):
        raise _wrong(path, "its added tokens are not a list")
    added = dict(_added_token(path, entry, None) for entry in listed)
    more = [_added_token(path, entry, number) for number, entry in decoder.items()]
    for text, token in sorted(more, key=lambda pair: pair[1].number):
        if added.setdefault(text, token) != token:
            raise _wrong(path, f"it disagrees with tokenizer_config.json about {short(repr(text))}")
    return added


def _added_token(path: Path, entry: Any, number: str | None) -> tuple[str, _Added]:
    entry = entry if isinstance(entry, dict) else {}
    text, found = entry.get("content"), entry.get("id")
    if number is not None:
        found = int(number) if number.isascii() and number.isdecimal() else None
    if not isinstance(text, str) or not text or not _is_id(found):
        raise _wrong(path, "an added token has no text or no id")
    return text, _Added(found, entry.get("special") is True)


def _in_order(
    path: Path, vocab: Mapping[str, int], added: Mapping[str, _Added], size: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """All `size` tokens and their types by id; ids without a token are padding."""
    tokens = sorted(vocab, key=vocab.__getitem__)
    if any(vocab[text] != number for number, text in enumerate(tokens)):
        raise _wrong(path, "the ids of its vocabulary do not count up from 0")
    for text, token in added.items():
        # The tokenizers library numbers on, whatever id the file gives. We must do so too, or
        # refuse.
        expected = vocab.get(text, len(tokens))
        if token.number != expected:
            raise _wrong(
                path, f"{short(repr(text))} has the id {token.number} where {expected} belongs"
            )
        if expected == len(tokens):
            tokens.append(text)
    if len(tokens) > size:
        raise _wrong(path, f"it has {len(tokens)} tokens, and config.json's vocab_size is {size}")
    types = [_type(text, added) for text in tokens]
    # As in the reference, which does this for Gemma:
    spaced = [t.replace("\u2581", " ") if k == USER_DEFINED else t for t, k in zip(tokens, types)]
    padding = range(len(tokens), size)
    return (
        (*spaced, *(f"[PAD{number}]" for number in padding)),
        (*types, *(UNUSED for _ in padding)),
    )


def _type(text: str, added: Mapping[str, _Added]) -> int:
    if text not in added:
        return NORMAL
    return CONTROL if added[text].special or _looks_special(text) else USER_DEFINED


def _looks_special(text: str) -> bool:
    """Added tokens that should be marked special and often are not (does_token_look_special)."""
    return (
        text in _CONTROL_LIKE
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<\uff5c") and text.endswith("\uff5c>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def _merges(path: Path, model: Mapping[str, Any], vocab: Mapping[str, int]) -> tuple[str, ...]:
    """Merges as "left right", from either of the two forms in tokenizer.json files."""
    merges = model.get("merges")
    if not isinstance(merges, list) or not merges:
        raise _wrong(path, "it has no merges")
    lines = []
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(p) is str for p in pair):
            raise _wrong(path, "a merge is not a pair of tokens")
        if pair[0] not in vocab or pair[1] not in vocab or pair[0] + pair[1] not in vocab:
            raise _wrong(path, f"the merge of {short(repr(pair))} has no token")
        lines.append(f"{pair[0]} {pair[1]}")
    return tuple(lines)


def _check_texts(path: Path, tokens: tuple[str, ...]) -> None:
    """Refuse texts in a vocabulary that make llama.cpp end the process."""
    if len(set(tokens)) < len(tokens):
        raise _wrong(path, "two of its tokens have one text")
    if "" in tokens or any("\0" in token for token in tokens):
        raise _wrong(path, "a token is empty or holds a NUL character")
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:
        raise _wrong(path, "a token holds half of a character (a lone surrogate)") from error


def _check_reached(path: Path, merges: tuple[str, ...], vocab: Mapping[str, int]) -> None:
    """Check that each token is a byte, or a merge of tokens made earlier."""
    made = set(_BYTES)
    for merge in merges:
        left, _, right = merge.partition(" ")
        if left not in made or right not in made:
            raise _wrong(path, "its merges are not in the order in which they were learned")
        made.add(left + right)
    lost = len(vocab.keys() - made)
    if lost:
        raise _wrong(path, f"no merge makes {lost} of its tokens: its merges were cut")


def _compare(path: Path, tokens: tuple[str, ...], merges: tuple[str, ...]) -> None:
    texts, pairs = ([text.encode() for text in found] for found in (tokens, merges))
    if not is_published(texts, pairs):
        _logger.warning(
            "%s is not the published tokenizer, though it has as many tokens: tokens or merges "
            "are others, or stand elsewhere",
            path,
        )


def _special_ids(settings: Mapping[str, Any], added: Mapping[str, _Added]) -> dict[str, int]:
    """The special tokens of tokenizer_config.json; those of config.json come second."""
    ids = {}
    for kind in KINDS:
        text = settings.get(f"{kind}_token")
        text = text.get("content") if isinstance(text, dict) else text
        if isinstance(text, str) and text in added:
            ids[kind] = added[text].number
    return ids


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _wrong(path: Path, why: str) -> ConversionError:
    return ConversionError(
        f"{path} is not the tokenizer of Qwen3Guard-Gen: {why}; download the official one"
    )
