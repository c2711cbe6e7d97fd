"""config.json: the sizes of a Qwen3 model; any other architecture is refused.

Source of names and meanings: transformers' Qwen3Config, and for Qwen3Guard-Stream the fields of its
Qwen3ForGuardModel. Settings that would change the computation and that llama.cpp's qwen3 does not
support (another activation, sliding windows, scaled rope) are refused too.

This module does not look at tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeguard.convert import advice
from edgeguard.convert.files import read_json, short
from edgeguard.errors import ConversionError
from edgeguard.gguf.qwen3 import MOST_LAYERS
from edgeguard.protocol.stream import MAPS
from edgeguard.session.compatibility import MIN_CONTEXT

ARCHITECTURE = "Qwen3ForCausalLM"
STREAM = "Qwen3ForGuardModel"
_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_LARGEST = 2**31 - 1

_FIXED: Mapping[str, tuple[object, ...]] = {
    "model_type": ("qwen3", None),
    "hidden_act": ("silu", None),
    "attention_bias": (False, None),
    "use_sliding_window": (False, None),
    "is_causal": (True, None),
}
"""Settings that may only have these values; None means absent."""


@dataclass(frozen=True)
class Config:
    """The sizes of the model.

    They count values, except ``layers``, ``heads``, ``kv_heads`` and ``context`` (tokens).
    ``token_ids`` are the special tokens that config.json names, by kind (bos, eos, pad ...).
    ``inner`` is the width of a Stream's heads, None for Gen.
    """

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    context: int
    rms_eps: float
    rope_theta: float
    tied: bool
    token_ids: Mapping[str, int]
    inner: int | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it is a Qwen3Guard-Stream, which has heads."""
        return self.inner is not None

    @property
    def row_widths(self) -> tuple[int, ...]:
        """The row lengths of the weight matrices, in values."""
        return (self.hidden, self.ffn, self.heads * self.head_dim)


def read_config(folder: Path) -> Config:
    """Read config.json. Raises ConversionError for anything but an unquantized Qwen3."""
    path = folder / "config.json"
    values = read_json(path)
    is_stream = _check_architecture(path, values) == STREAM
    advice.check_quantization(path, values.get("quantization_config"))
    for key, allowed in _FIXED.items():
        if values.get(key) not in allowed:
            said = f"{key} is {short(values[key])}, and Qwen3Guard has {allowed[0]!r}"
            raise _wrong(path, said)
    config = Config(
        layers=_count(path, values, "num_hidden_layers"),
        hidden=_count(path, values, "hidden_size"),
        ffn=_count(path, values, "intermediate_size"),
        heads=_count(path, values, "num_attention_heads"),
        kv_heads=_count(path, values, "num_key_value_heads"),
        head_dim=_count(path, values, "head_dim"),
        vocab_size=_count(path, values, "vocab_size"),
        context=_count(path, values, "max_position_embeddings"),
        rms_eps=_number(path, "rms_norm_eps", values.get("rms_norm_eps")),
        rope_theta=_rope_theta(path, values),
        tied=values.get("tie_word_embeddings") is True,
        token_ids=_token_ids(values),
        inner=_inner(path, values) if is_stream else None,
    )
    if config.heads % config.kv_heads:
        raise _wrong(path, "num_attention_heads is no multiple of num_key_value_heads")
    if config.context < MIN_CONTEXT:
        raise _wrong(
            path, f"max_position_embeddings is {config.context}; a question needs {MIN_CONTEXT}"
        )
    if config.layers > MOST_LAYERS:
        raise _wrong(path, f"num_hidden_layers is {config.layers}, beyond {MOST_LAYERS}")
    return config


def _check_architecture(path: Path, values: Mapping[str, Any]) -> str:
    """The architecture, one of the two that are supported."""
    found = values.get("architectures")
    for known in (ARCHITECTURE, STREAM):
        if found == [known]:
            return known
    name = ", ".join(map(str, found)) if isinstance(found, list) and found else "none"
    raise ConversionError(
        f"{path} has the architecture {short(name)}; supported: {ARCHITECTURE}, {STREAM}; "
        "name the folder of a Qwen3Guard-Gen or Qwen3Guard-Stream checkpoint"
    )


def _inner(path: Path, values: Mapping[str, Any]) -> int:
    """The width of a Stream's heads, whose labels must be the known ones in the known order."""
    counts = {
        "num_risk_level": "response_risk_level_map",
        "num_category": "response_category_map",
        "num_query_risk_level": "query_risk_level_map",
        "num_query_category": "query_category_map",
    }
    for key, name in counts.items():
        expected = {str(number): label for number, label in enumerate(MAPS[name])}
        if values.get(name) != expected:
            raise _wrong(
                path, f"{name} is {short(values.get(name))}, and not {short(expected, 400)}"
            )
        if values.get(key, len(expected)) != len(expected):
            raise _wrong(path, f"{key} is {short(values[key])}, and {name} has {len(expected)}")
    return _count(path, values, "guard_inner_size")


def _rope_theta(path: Path, values: Mapping[str, Any]) -> float:
    """The base of the rotary embedding; transformers 5 moved it into rope_parameters."""
    found = [values.get("rope_theta")]
    for key in ("rope_scaling", "rope_parameters"):
        rope = values.get(key) or {}
        if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type")) not in (
            None,
            "default",
        ):
            raise _wrong(path, f"scaled rope ({short(rope)}) is not supported")
        found.append(rope.get("rope_theta"))
    thetas = {_number(path, "rope_theta", value) for value in found if value is not None}
    if len(thetas) > 1:
        raise _wrong(path, f"rope_theta is {' and '.join(map(str, sorted(thetas)))}")
    return thetas.pop() if thetas else _number(path, "rope_theta", None)


def _token_ids(values: Mapping[str, Any]) -> dict[str, int]:
    ids = {kind: values.get(f"{kind}_token_id") for kind in _SPECIAL}
    # A list of ids (usually of eos) is ignored, as in the reference.
    return {kind: number for kind, number in ids.items() if type(number) is int}


def _count(path: Path, values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    if type(value) is not int or not 0 < value <= _LARGEST:
        raise _wrong(path, f"{key} is {short(value)}, not a positive whole number")
    return value


def _number(path: Path, key: str, value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < _LARGEST:
        raise _wrong(path, f"{key} is {short(value)}, not a positive number")
    return float(value)


def _wrong(path: Path, why: str) -> ConversionError:
    return ConversionError(f"{path}: {why}; download the official config.json again")
