"""Loading a model's weights without its vocabulary, by overriding keys of the file's header.

llama.cpp builds hash tables of 150,000 tokens and as many merges, on one core, which is most of the
time that a mapped file takes to load. A vocabulary can be loaded beside the weights instead
(edgeguard.session.vocabulary_thread). This module loads nothing.
"""

from __future__ import annotations

import ctypes
from typing import Any

from edgeguard.session.interface import VocabularyFacts

_TOKENIZER = b"tokenizer.ggml.model"
_NONE = b"no_vocab"
"""The tokenizer of models that have none; llama.cpp then only counts tokens (llama-vocab.cpp)."""
_LONGEST = 127
"""Bytes of a key: the field has one more, which ends it (llama_model_kv_override in llama.h)."""


def leave_out_vocabulary(lib: Any, params: Any, facts: VocabularyFacts) -> object:
    """Have a load count the tokens and not read them. Keep the result until the load has ended."""
    overrides = (lib.llama_model_kv_override * 3)()  # one without a key ends them
    overrides[0].key, overrides[0].tag = _TOKENIZER, lib.LLAMA_KV_OVERRIDE_TYPE_STR
    overrides[0].value.val_str = _NONE
    overrides[1].key = f"{facts.architecture}.vocab_size".encode()[:_LONGEST]
    overrides[1].tag = lib.LLAMA_KV_OVERRIDE_TYPE_INT
    overrides[1].value.val_i64 = facts.size
    params.kv_overrides = ctypes.cast(overrides, ctypes.POINTER(lib.llama_model_kv_override))
    return overrides
