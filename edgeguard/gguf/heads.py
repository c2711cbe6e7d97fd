"""The heads of a Qwen3Guard-Stream in the metadata of its GGUF file.

llama.cpp refuses tensors that it does not know, so each head is stored as text under a key:

    edgeguard.stream.head.<tensor's name>    "bf16 512 1024 <base64 of the bits, little-endian>"
    edgeguard.stream.<map's name>            the labels by index, joined by ", "
    edgeguard.stream.rms_norm_eps            the epsilon of the norms, in decimal digits

The bits are those of the checkpoint, whatever the type of the backbone. The digest in the file
covers the keys, and so the heads. This module reads no file and computes no labels.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeguard.protocol.stream import MAPS, QUERY_CATEGORIES, RESPONSE_CATEGORIES, RISKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIX = "edgeguard.stream."
HEAD = f"{PREFIX}head."
EPSILON = f"{PREFIX}rms_norm_eps"
SEPARATOR = ", "

_TYPES = {"bf16": "<u2", "f16": "<f2", "f32": "<f4"}
_LARGEST = 2.0**24  # the same limit as for tensors: no model has larger weights

PRE, NORM = "risk_level_category_pre.weight", "risk_level_category_layernorm.weight"
RISK, CATEGORY = "risk_level_head.weight", "category_head.weight"


@dataclass(frozen=True)
class Side:
    """The heads of one side, float32: ``pre`` (inner, hidden), ``norm`` (inner,), ``risk`` and
    ``category`` (labels, inner).
    """

    pre: NDArray[np.float32]
    norm: NDArray[np.float32]
    risk: NDArray[np.float32]
    category: NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """Both sides' heads, and the epsilon of their norms."""

    response: Side
    query: Side
    epsilon: float


def shapes(hidden: int, inner: int) -> dict[str, tuple[int, ...]]:
    """The shape of each head, by its tensor's name in the checkpoint."""
    return {
        f"{side}{name}": shape
        for side, categories in (("", RESPONSE_CATEGORIES), ("query_", QUERY_CATEGORIES))
        for name, shape in (
            (PRE, (inner, hidden)),
            (NORM, (inner,)),
            (RISK, (len(RISKS), inner)),
            (CATEGORY, (len(categories), inner)),
        )
    }


def write(dtype: str, shape: tuple[int, ...], bits: bytes) -> str:
    """The text of one head; ``dtype`` is bf16, f16 or f32."""
    return " ".join([dtype, *map(str, shape), base64.b64encode(bits).decode("ascii")])


def maps() -> dict[str, str]:
    """The labels by index, for each map of config.json, as the file gives them."""
    return {name: SEPARATOR.join(labels) for name, labels in MAPS.items()}


def read(key: Callable[[str], str | None], hidden: int) -> Weights:
    """Read the heads; ``key`` returns the text under a key. Raises ValueError if they are bad."""
    _check_maps(key)
    epsilon = _epsilon(key)
    found = {name: _head(key, name) for name in shapes(hidden, 1)}
    wanted = shapes(hidden, len(found[NORM]))
    for name, head in found.items():
        if head.shape != wanted[name]:
            raise ValueError(f"{name} has the shape {list(head.shape)}, not {list(wanted[name])}")
        check(name, head)
    response, query = (
        Side(*(found[f"{side}{name}"] for name in (PRE, NORM, RISK, CATEGORY)))
        for side in ("", "query_")
    )
    return Weights(response, query, epsilon)


def check(name: str, head: NDArray[Any]) -> None:
    """Raise ValueError for values that no head has: NaN or infinity, absurd sizes, many zeros."""
    import numpy as np

    if not np.isfinite(head).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    if np.abs(head).max() >= _LARGEST:
        raise ValueError(f"{name} holds values beyond 16,777,216")
    rows = head.reshape(-1, head.shape[-1])
    if ((rows == 0).sum(axis=1) * 4 >= rows.shape[1]).any():
        raise ValueError(f"{name} holds a row that is a quarter zeros: a part of it is missing")


def to_float32(dtype: str, bits: bytes) -> NDArray[np.float32]:
    """Flat values of a type, as float32."""
    import numpy as np

    values: NDArray[Any] = np.frombuffer(bits, _TYPES[dtype])
    if dtype == "bf16":
        return (values.astype("<u4") << 16).view("<f4")
    return values.astype("<f4")


def _check_maps(key: Callable[[str], str | None]) -> None:
    for name, labels in maps().items():
        found = key(PREFIX + name)
        if found is None:
            raise ValueError(f"it lacks {PREFIX}{name}")
        if found != labels:
            raise ValueError(f"{PREFIX}{name} is not in the order that is known")


def _epsilon(key: Callable[[str], str | None]) -> float:
    try:
        value = float(key(EPSILON) or "")
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise ValueError(f"{EPSILON} is missing or no epsilon")
    return value


def _head(key: Callable[[str], str | None], name: str) -> NDArray[np.float32]:

    text = key(HEAD + name)
    if text is None:
        raise ValueError(f"it lacks the head {name}")
    dtype, *sizes, data = text.split(" ")
    try:
        bits = base64.b64decode(data, validate=True)
        shape = tuple(int(size) for size in sizes)
        return to_float32(dtype, bits).reshape(shape)
    except (binascii.Error, ValueError, KeyError) as error:
        raise ValueError(f"the head {name} is damaged") from error


def texts(keys: Mapping[str, object]) -> Callable[[str], str | None]:
    """The texts among a header's values, for ``read``."""

    def text(key: str) -> str | None:
        value = keys.get(key)
        return value if isinstance(value, str) else None

    return text
