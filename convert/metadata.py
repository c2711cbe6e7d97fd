"""The keys and values of the GGUF file.

Everything that llama.cpp's loader or tokenizer reads has the value that convert_hf_to_gguf.py gives
it (conversion/base.py, gguf-py's metadata.py). Keys that the reference guesses from the folder's
name or takes from the model card are not written (base model, licence, tags). Keys that begin with
``edgeguard.`` are added and say what the file was made from. Nothing depends on time, machine or
path.

This module writes no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
from gguf import GGUFValueType as Kind

from edgeguard.convert.layout import parameters
from edgeguard.convert.vocabulary import MODEL, PRE
from edgeguard.gguf import content, heads
from edgeguard.protocol import stream
from edgeguard.protocol.names import PROTOCOL

if TYPE_CHECKING:
    from edgeguard.convert.checkpoint import Checkpoint
    from edgeguard.convert.conversion import Source

ARCHITECTURE = "qwen3"
_QUANTIZATION_VERSION = 2  # GGML_QNT_VERSION in ggml.h
_FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32}  # llama_ftype in llama.h

_SAMPLING = {
    "top_k": ("general.sampling.top_k", Kind.INT32),
    "top_p": ("general.sampling.top_p", Kind.FLOAT32),
    "min_p": ("general.sampling.min_p", Kind.FLOAT32),
    "temperature": ("general.sampling.temp", Kind.FLOAT32),
    "repetition_penalty": ("general.sampling.penalty_repeat", Kind.FLOAT32),
}
"""Keys of generation_config.json, and where the reference stores them."""

_TOKEN_IDS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "sep": "seperator_token_id",
    "pad": "padding_token_id",
    "cls": "cls_token_id",
    "mask": "mask_token_id",
}


@dataclass(frozen=True)
class Entry:
    """One key of the file; `element` is the type of an array's elements."""

    key: str
    value: Any
    kind: Kind
    element: Kind | None = None


def entries(
    checkpoint: Checkpoint, file_type: str, source: Source | None, sources: Mapping[str, str]
) -> list[Entry]:
    """All entries of a file of the type `file_type` (f32, f16 or bf16), in the order of writing."""
    return [
        *_general(checkpoint, file_type, source),
        *_model(checkpoint),
        *_tokenizer(checkpoint),
        *_heads(checkpoint),
        *_origin(checkpoint, source, sources),
    ]


def _general(checkpoint: Checkpoint, file_type: str, source: Source | None) -> list[Entry]:
    name = source.repo.rpartition("/")[2] if source else _name(checkpoint.folder)
    label = gguf.size_label(parameters(checkpoint.tensors), 0, 0, 0)
    found = [
        Entry("general.type", "model", Kind.STRING),
        Entry("general.name", name, Kind.STRING),
        Entry("general.size_label", label, Kind.STRING),
        Entry("general.file_type", _FILE_TYPES[file_type], Kind.UINT32),
        Entry("general.quantization_version", _QUANTIZATION_VERSION, Kind.UINT32),
    ]
    for key, (name, kind) in _SAMPLING.items():
        value = checkpoint.generation.get(key)
        wanted = int if kind is Kind.INT32 else (int, float)
        # Advice for samplers, which this project does not use; invalid values are ignored.
        if isinstance(value, wanted) and not isinstance(value, bool) and abs(value) < 2**31:
            found.append(Entry(name, value, kind))
    return found


def _name(folder: Path) -> str:
    """The folder's name as text, even if its bytes are not UTF-8."""
    return os.fsencode(folder.resolve().name).decode("utf-8", "replace")


def _model(checkpoint: Checkpoint) -> list[Entry]:
    config = checkpoint.config
    counts = {
        "block_count": config.layers,
        "context_length": config.context,
        "embedding_length": config.hidden,
        "feed_forward_length": config.ffn,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
    }
    numbers = {
        "rope.freq_base": config.rope_theta,
        "attention.layer_norm_rms_epsilon": config.rms_eps,
    }
    return [Entry(f"{ARCHITECTURE}.{key}", n, Kind.UINT32) for key, n in counts.items()] + [
        Entry(f"{ARCHITECTURE}.{key}", n, Kind.FLOAT32) for key, n in numbers.items()
    ]


def _tokenizer(checkpoint: Checkpoint) -> list[Entry]:
    vocabulary = checkpoint.vocabulary
    found = [
        Entry("model", MODEL, Kind.STRING),
        Entry("pre", PRE, Kind.STRING),
        Entry("tokens", list(vocabulary.tokens), Kind.ARRAY, Kind.STRING),
        Entry("token_type", list(vocabulary.types), Kind.ARRAY, Kind.INT32),
        Entry("merges", list(vocabulary.merges), Kind.ARRAY, Kind.STRING),
    ]
    for kind, number in vocabulary.special_ids.items():
        found.append(Entry(_TOKEN_IDS[kind], number, Kind.UINT32))
    found += [
        Entry("add_bos_token", False, Kind.BOOL),
        Entry("add_eos_token", False, Kind.BOOL),
    ]
    found = [Entry(f"tokenizer.ggml.{e.key}", e.value, e.kind, e.element) for e in found]
    if checkpoint.template:
        found.append(Entry("tokenizer.chat_template", checkpoint.template, Kind.STRING))
    return found


def _heads(checkpoint: Checkpoint) -> list[Entry]:
    """A Stream's heads with the checkpoint's own bits, and their labels."""
    if not checkpoint.config.is_stream:
        return []
    texts = {f"{heads.PREFIX}{name}": labels for name, labels in heads.maps().items()}
    texts[heads.EPSILON] = repr(checkpoint.config.rms_eps)
    texts |= {f"{heads.HEAD}{name}": text for name, text in checkpoint.heads.items()}
    return [Entry(key, text, Kind.STRING) for key, text in texts.items()]


def _origin(
    checkpoint: Checkpoint, source: Source | None, sources: Mapping[str, str]
) -> list[Entry]:
    """What the file was made from and by; the hashes are lines in the format of sha256sum."""
    protocol = stream.PROTOCOL if checkpoint.config.is_stream else PROTOCOL
    texts = {"protocol": protocol, "converter": version("edgeguard")}
    if source is not None:
        texts |= {"source.repo": source.repo, "source.revision": source.revision}
    lines = [f"{digest}  {name}" for name, digest in sorted(sources.items())]
    found = [Entry(f"edgeguard.{key}", text, Kind.STRING) for key, text in texts.items()]
    return [
        *found,
        Entry("edgeguard.source.sha256", lines, Kind.ARRAY, Kind.STRING),
        Entry(content.KEY, content.BLANK, Kind.STRING),  # filled in when the file is finished
    ]
