"""Checks the header of a Qwen3Guard-Gen before llama.cpp uses it.

If hyperparameters do not fit the tensors, llama.cpp computes with them anyway or ends the process.
So the sizes are compared with the tensors' shapes, and settings that no Qwen3Guard-Gen has
(experts, scaled rope, sliding windows) are refused, even those that llama.cpp supports.

This module reads no file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgeguard.gguf import vocabulary
from edgeguard.gguf.header import Header
from edgeguard.gguf.keys import Keys, shown

ARCHITECTURE = "qwen3"
MOST_LAYERS = 512  # LLAMA_MAX_LAYERS of llama.cpp

_QUANTIZATION = 2  # GGML_QNT_VERSION

EMBEDDING, HEAD = "token_embd.weight", "output.weight"

_ROPE_BASE, _EPSILON = 1e6, 1e-6
"""The values of all published models; a file with our digest may have others."""

_SIZES = {
    f"{ARCHITECTURE}.{key}"
    for key in (
        *("block_count", "context_length", "embedding_length", "feed_forward_length"),
        *("attention.head_count", "attention.head_count_kv", "attention.key_length"),
        *("attention.value_length", "attention.layer_norm_rms_epsilon"),
        *("rope.freq_base", "rope.dimension_count"),
    )
}
_ONLY: Mapping[str, object] = {
    f"{ARCHITECTURE}.{key}": value
    for key, value in {
        "rope.scaling.type": "none",
        "rope.scaling.factor": 1.0,
        "rope.scaling.finetuned": False,
        "expert_count": 0,
        "expert_used_count": 0,
        "attention.sliding_window": 0,
        "attention.causal": True,
        "pooling_type": 0,
    }.items()
}
"""Settings beside the sizes, and the one value that each may have."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model, in values, except the counts of layers, heads and tokens."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    tokens: int


def check(header: Header, *, ours: bool) -> Sizes:
    """Raise ValueError, with the reason, unless it can be a Qwen3Guard-Gen.

    ``ours``: the file carries our digest, which covers what cannot be checked here.
    """
    keys = Keys(header)
    found = keys.text("general.architecture")
    if found != ARCHITECTURE:
        raise ValueError(f"its architecture is {shown(found)}, not {ARCHITECTURE}")
    if keys.text("general.type", "model") != "model":
        raise ValueError(f"it is no model but {shown(keys.text('general.type'))}")
    if keys.count("general.quantization_version", _QUANTIZATION, least=0) != _QUANTIZATION:
        raise ValueError("its weights are quantized in a way of another time")
    if any(key.startswith(("split.", "adapter.")) for key in header.keys):
        raise ValueError("it is a part of a model, or an adapter to one; take the whole model")
    sizes = _sizes(keys, vocabulary.check(header, ours=ours))
    _check_settings(header, keys, sizes, ours)
    _check_tensors(header, sizes)
    return sizes


def _sizes(keys: Keys, tokens: int) -> Sizes:
    def size(key: str, default: int | None = None) -> int:
        return keys.count(f"{ARCHITECTURE}.{key}", default)

    hidden, heads = size("embedding_length"), size("attention.head_count")
    head_dim = size("attention.key_length", max(hidden // heads, 1))
    kv_heads, layers = size("attention.head_count_kv", heads), size("block_count")
    if size("attention.value_length", head_dim) != head_dim:
        raise ValueError("its keys and values have heads of two sizes")
    if size("rope.dimension_count", head_dim) != head_dim or head_dim % 2:
        raise ValueError(f"it does not rotate all {head_dim} values of a head")
    if heads % kv_heads or max(heads, layers) > MOST_LAYERS:
        raise ValueError(f"it has {layers} layers, {heads} heads and {kv_heads} of keys")
    return Sizes(layers, hidden, size("feed_forward_length"), heads, kv_heads, head_dim, tokens)


def _check_settings(header: Header, keys: Keys, sizes: Sizes, ours: bool) -> None:
    """Check the other settings, which have only one value in a Qwen3Guard-Gen."""
    keys.count(f"{ARCHITECTURE}.context_length")
    for key, published in (
        (f"{ARCHITECTURE}.rope.freq_base", _ROPE_BASE),
        (f"{ARCHITECTURE}.attention.layer_norm_rms_epsilon", _EPSILON),
    ):
        value = keys.number(key)
        if not ours and not math.isclose(value, published, rel_tol=1e-3):
            raise ValueError(f"{key} is {value:g}, and the published models have {published:g}")
    for key, given in header.keys.items():
        if not key.startswith(f"{ARCHITECTURE}.") or key in _SIZES:
            continue
        if key == f"{ARCHITECTURE}.vocab_size" and given == sizes.tokens:
            continue
        if key not in _ONLY or given != _ONLY[key]:
            raise ValueError(f"{shown(key)} is {shown(given)}, which no Qwen3Guard-Gen has")


def _check_tensors(header: Header, sizes: Sizes) -> None:
    """Check that the tensors are exactly those of a Qwen3, with the right shapes."""
    found = {tensor.name: tensor for tensor in header.tensors}
    if len(found) > 3 + 11 * sizes.layers:
        raise ValueError(f"it has {len(found)} tensors, too many for {sizes.layers} layers")
    for name, shape in _shapes(sizes).items():
        if name not in found:
            if name == HEAD:
                continue  # the embedding is used as the output matrix then
            raise ValueError(f"it lacks the tensor {name}, and says it has {sizes.layers} layers")
        tensor = found.pop(name)
        if tensor.dimensions != shape:
            raise ValueError(
                f"{name} is {_by(tensor.dimensions)}, and its sizes ask for {_by(shape)}"
            )
        if len(shape) == 1 and tensor.type.name != "f32":
            raise ValueError(f"{name} is stored as {tensor.type.name}; norms are f32")
    for name in found:
        raise ValueError(f"the tensor {shown(name)} is none of a Qwen3 with {sizes.layers} layers")


def _shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    hidden, ffn, head = sizes.hidden, sizes.ffn, sizes.head_dim
    query, key = sizes.heads * head, sizes.kv_heads * head
    shapes: dict[str, tuple[int, ...]] = {
        EMBEDDING: (hidden, sizes.tokens),
        HEAD: (hidden, sizes.tokens),
        "output_norm.weight": (hidden,),
    }
    block: dict[str, tuple[int, ...]] = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, query),
        "attn_k": (hidden, key),
        "attn_v": (hidden, key),
        "attn_output": (query, hidden),
        "attn_q_norm": (head,),
        "attn_k_norm": (head,),
        "ffn_norm": (hidden,),
        "ffn_gate": (hidden, ffn),
        "ffn_up": (hidden, ffn),
        "ffn_down": (ffn, hidden),
    }
    for layer in range(sizes.layers):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes


def _by(dimensions: tuple[int, ...]) -> str:
    return " by ".join(map(str, dimensions))
