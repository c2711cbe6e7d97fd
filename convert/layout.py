"""Which tensors a Qwen3 has, with their shapes, and their names and types in GGUF.

A Qwen3Guard-Stream has heads as well, for which GGUF has no tensors (edgeguard.gguf.heads).

Names: gguf-py's tensor_mapping.py, architecture qwen3. Types: norms, the only tensors of one
dimension, are F32; the rest have the file's type (conversion/base.py of llama.cpp).

This module moves no data, except to compare a stored output matrix with the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeguard.convert import advice
from edgeguard.convert.config import Config
from edgeguard.convert.files import short
from edgeguard.convert.weights import Tensor, blocks
from edgeguard.errors import ConversionError
from edgeguard.gguf import heads

Shape = tuple[int, ...]

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"

_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}  # bytes per value


@dataclass(frozen=True)
class Planned:
    """A tensor of the new file: its GGUF name and type, and the source of its values."""

    name: str
    type: str
    source: Tensor

    @property
    def size(self) -> int:
        """Bytes in the new file, without padding."""
        return self.source.count * _WIDTHS[self.type]


def plan(config: Config, tensors: Mapping[str, Tensor], file_type: str) -> list[Planned]:
    """The new file's tensors in order; `tensors` are those returned by `check`."""
    names = {name: gguf for name, (gguf, _) in _expected(config).items()}
    return [
        Planned(names[name], "F32" if len(tensor.shape) == 1 else file_type.upper(), tensor)
        for name, tensor in tensors.items()
    ]


def lossless(tensors: Mapping[str, Tensor]) -> str:
    """The file type that keeps every value of the matrices unchanged: bf16, f16 or f32."""
    dtypes = {tensor.dtype for tensor in tensors.values() if len(tensor.shape) > 1}
    return dtypes.pop().lower() if len(dtypes) == 1 else "f32"


def check(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors to write. Raises ConversionError for a missing, unknown or misshapen one.

    A Stream's heads are checked too, but not returned.
    """
    for tensor in list(tensors.values())[:1]:
        advice.check_names(tensor.path, tensors)
    expected = {name: shape for name, (_, shape) in _expected(config).items()}
    expected |= head_shapes(config)
    optional = config.tied or config.is_stream
    for name, shape in expected.items():
        if name not in tensors and not (name == HEAD and optional):
            raise ConversionError(
                f"the checkpoint lacks the tensor {name}, one of "
                f"{len(expected) - optional} that its config.json asks for; download the whole "
                "checkpoint"
            )
        if name in tensors and tensors[name].shape != shape:
            raise ConversionError(
                f"{tensors[name].path}: {name} has the shape "
                f"{short(list(tensors[name].shape))}, and config.json asks for {list(shape)}; "
                "the two belong to different checkpoints"
            )
    for name, tensor in tensors.items():
        if name not in expected:
            raise ConversionError(
                f"{tensor.path}: {short(name)} is no tensor of a Qwen3 with {config.layers} "
                "layers; take the checkpoint as published"
            )
    return _without_copy(config, tensors)


def _without_copy(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out an output matrix that equals the embedding.

    The published Qwen3Guard-Gen-0.6B ties the two and still stores both. llama.cpp uses the
    embedding if a file has no output matrix, so the copy, which the reference writes, only takes
    space: 484 MB instead of 397 in q4_k_m, 805 instead of 639 in q8_0. The output matrix is the
    same either way; the embedding has q6_k instead of q4_k in the 4-bit types.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name not in head_shapes(config)}
    if config.is_stream:
        kept.pop(HEAD, None)  # a Stream generates no text: llama.cpp never uses this matrix
    if config.tied and HEAD in kept:
        head = kept.pop(HEAD)
        if not _equal(head, kept[EMBEDDING]):
            raise ConversionError(
                f"{head.path}: config.json ties {HEAD} to {EMBEDDING}, and their values differ; "
                "take the checkpoint as published"
            )
    return kept


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one shape have the same bytes."""
    if a.dtype != b.dtype:
        return False
    return all(
        np.array_equal(x.view(np.uint8), y.view(np.uint8)) for x, y in zip(blocks(a), blocks(b))
    )


def _expected(config: Config) -> dict[str, tuple[str, Shape]]:
    """Each tensor's GGUF name and shape, by its name in the checkpoint."""
    matrix = (config.vocab_size, config.hidden)
    expected: dict[str, tuple[str, Shape]] = {
        EMBEDDING: ("token_embd.weight", matrix),
        HEAD: ("output.weight", matrix),
        "model.norm.weight": ("output_norm.weight", (config.hidden,)),
    }
    block = _block(config)
    for layer in range(config.layers):
        for name, (gguf, shape) in block.items():
            expected[f"model.layers.{layer}.{name}.weight"] = (f"blk.{layer}.{gguf}.weight", shape)
    return expected


def _block(config: Config) -> dict[str, tuple[str, Shape]]:
    hidden, ffn = config.hidden, config.ffn
    query, key = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "input_layernorm": ("attn_norm", (hidden,)),
        "self_attn.q_proj": ("attn_q", (query, hidden)),
        "self_attn.k_proj": ("attn_k", (key, hidden)),
        "self_attn.v_proj": ("attn_v", (key, hidden)),
        "self_attn.o_proj": ("attn_output", (hidden, query)),
        "self_attn.q_norm": ("attn_q_norm", (config.head_dim,)),
        "self_attn.k_norm": ("attn_k_norm", (config.head_dim,)),
        "post_attention_layernorm": ("ffn_norm", (hidden,)),
        "mlp.gate_proj": ("ffn_gate", (ffn, hidden)),
        "mlp.up_proj": ("ffn_up", (ffn, hidden)),
        "mlp.down_proj": ("ffn_down", (hidden, ffn)),
    }


def head_shapes(config: Config) -> dict[str, Shape]:
    """The shape of each head, by its name in the checkpoint; none for Gen."""
    return {} if config.inner is None else heads.shapes(config.hidden, config.inner)


def parameters(tensors: Mapping[str, Tensor]) -> int:
    """How many weights the tensors have in total."""
    return sum(tensor.count for tensor in tensors.values())
