"""The heads of a Qwen3Guard-Stream checkpoint, as the texts that its GGUF file will contain.

Their bits are not changed, whatever the type of the file. This module does not check shapes (layout
does) and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeguard.convert.config import Config
from edgeguard.convert.layout import head_shapes
from edgeguard.convert.weights import Tensor, blocks
from edgeguard.errors import ConversionError
from edgeguard.gguf import heads


def read_heads(config: Config, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The text of each head, by its tensor's name; none for Gen. Raises ConversionError."""
    return {name: _text(tensors[name]) for name in head_shapes(config)}


def _text(tensor: Tensor) -> str:
    dtype = tensor.dtype.lower()
    bits = b"".join(block.tobytes() for block in blocks(tensor))
    try:
        heads.check(tensor.name, heads.to_float32(dtype, bits).reshape(tensor.shape))
    except ValueError as error:
        raise ConversionError(
            f"{tensor.path}: {error}; the checkpoint is damaged, download it again"
        ) from error
    return heads.write(dtype, tensor.shape, bits)
