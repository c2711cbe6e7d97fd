"""Checks the tokenizer in a header against what llama.cpp requires.

Each token is a unique text with a type, each merge joins tokens to a token, and special ids are ids
of tokens. The published models share one vocabulary; any other file with as many tokens must have
the same. This module reads no file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from edgeguard.gguf.header import FLOAT32, INT32, STRING, Header
from edgeguard.gguf.keys import Keys, shown

PUBLISHED = 151_669
"""Tokens of the published models; padding follows, up to 151,936 as published."""
TOKENS_SHA256 = "38c4c4a8ba02d84a14fce484a2a7a115a55f258f029c012346ebe4d232f6d99e"
MERGES_SHA256 = "bbeef245f0b03a9613753068e5799c2496290005594c68f09eed68feedbe6d1f"
"""Of the published tokens and merges, as ``digest`` gives it."""

TOKENIZER = ("gpt2", "qwen2")  # tokenizer.ggml.model and tokenizer.ggml.pre
_UNUSED = 5
_TYPES = set(range(1, 7))  # llama_token_type
_LONGEST = 4096
_IDS = (
    *("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "cls"),
    *("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep"),
    *("prefix", "suffix", "middle"),
)
_KNOWN = {
    f"tokenizer.ggml.{key}"
    for key in (
        *("model", "pre", "tokens", "token_type", "token_type_count", "scores", "merges"),
        *("add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix"),
        *("remove_extra_whitespaces", "precompiled_charsmap"),
        *(f"{kind}_token_id" for kind in _IDS),
    )
}


def check(header: Header, *, ours: bool) -> int:
    """The number of tokens. Raises ValueError for a tokenizer that cannot be Qwen3Guard-Gen's.

    ``ours``: the file carries our digest, which covers the content.
    """
    keys = Keys(header)
    found = (keys.text("tokenizer.ggml.model"), keys.text("tokenizer.ggml.pre"))
    if found != TOKENIZER:
        raise ValueError(f"its tokenizer is {shown('/'.join(found))}, not {'/'.join(TOKENIZER)}")
    tokens = keys.array("tokenizer.ggml.tokens", STRING).strings
    merges = keys.array("tokenizer.ggml.merges", STRING).strings
    _check_lengths(keys, len(tokens))
    _check_ids(header, keys, len(tokens))
    if ours:
        return len(tokens)
    for key in header.keys:
        if key.startswith("tokenizer.ggml.") and key not in _KNOWN:
            raise ValueError(f"its tokenizer has the unknown setting {shown(key)}")
    if len(tokens) < PUBLISHED:
        _check_tokens(tokens)
        _check_merges(merges, set(tokens))
    elif not is_published(tokens, merges):
        raise ValueError("its vocabulary has as many tokens as Qwen3's, and is another")
    return len(tokens)


def is_published(tokens: Sequence[bytes], merges: Sequence[bytes]) -> bool:
    """Whether this is the vocabulary of the published models, perhaps with padding after it."""
    padding = tokens[PUBLISHED:]
    if len(set(padding)) < len(padding) or not all(p.startswith(b"[PAD") for p in padding):
        return False
    return (digest(tokens[:PUBLISHED]), digest(merges)) == (TOKENS_SHA256, MERGES_SHA256)


def digest(texts: Sequence[bytes]) -> str:
    """The sha256 of texts joined by line feeds."""
    return hashlib.sha256(b"\n".join(texts)).hexdigest()


def unused(header: Header) -> list[bool]:
    """For each token, whether it is padding; its row in the embedding may then be zeros."""
    return [kind == _UNUSED for kind in _kinds(Keys(header))]


def _kinds(keys: Keys) -> Sequence[int]:
    return memoryview(keys.array("tokenizer.ggml.token_type", INT32).numbers).cast("i")


def _check_tokens(tokens: Sequence[bytes]) -> None:
    if len(set(tokens)) < len(tokens):
        raise ValueError("its vocabulary has a token twice")
    if b"" in tokens or max(map(len, tokens)) > _LONGEST:
        raise ValueError("its vocabulary has a token that is empty or very long")


def _check_lengths(keys: Keys, tokens: int) -> None:
    kinds = _kinds(keys)
    if len(kinds) != tokens or set(kinds) - _TYPES:
        raise ValueError("its tokens have other types than there are")
    scores = "tokenizer.ggml.scores"
    if scores in keys and keys.array(scores, FLOAT32).length != tokens:
        raise ValueError("not each of its tokens has a score")


def _check_ids(header: Header, keys: Keys, tokens: int) -> None:
    for kind in _IDS:
        key = f"tokenizer.ggml.{kind}_token_id"
        if key in keys and keys.count(key, least=0) >= tokens:
            raise ValueError(f"{key} is {shown(header.keys[key])}, and there are {tokens} tokens")


def _check_merges(merges: Sequence[bytes], tokens: set[bytes]) -> None:
    for merge in merges:
        left, _, right = merge.partition(b" ")
        if left not in tokens or right not in tokens or left + right not in tokens:
            raise ValueError("a merge of its tokenizer joins what is no token")
    if len(set(merges)) < len(merges):
        raise ValueError("its tokenizer has a merge twice")
