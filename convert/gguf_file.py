"""Writes a GGUF file: the header with gguf's own writer, the tensors block by block.

Format: docs/gguf.md of ggml. Only one block of one tensor is in memory at a time. This module does
not choose names, types or keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np

from edgeguard.convert import values
from edgeguard.convert.layout import EMBEDDING, HEAD, Planned
from edgeguard.convert.metadata import ARCHITECTURE, Entry
from edgeguard.convert.weights import DTYPES, blocks
from edgeguard.errors import ConversionError
from edgeguard.gguf.tensor_types import TYPES
from edgeguard.gguf.weights import Weights

_ALIGNMENT = gguf.GGUF_DEFAULT_ALIGNMENT
_TYPES = {type_.name.upper(): type_ for type_ in TYPES.values()}


def write(
    path: Path,
    entries: Sequence[Entry],
    tensors: Sequence[Planned],
    padding: Sequence[bool],
    advance: Callable[[int], None],
) -> None:
    """Write the file; `advance` is called with the size of each block of tensor data written.

    `padding` says for each token whether its row in the embedding may be zeros. Raises
    ConversionError for values that no model has or that the type cannot hold, and OSError if the
    system refuses to write.
    """
    _write_head(path, entries, tensors)
    with path.open("ab") as file:
        _pad(file)
        for tensor in tensors:
            look = Weights(_TYPES[tensor.type], tensor.size, _row(tensor), _empty(tensor, padding))
            for block in blocks(tensor.source):
                data = _encode(tensor, block)
                _look(tensor, look, data)
                file.write(data.data)
                advance(data.nbytes)
            _pad(file)


def _write_head(path: Path, entries: Sequence[Entry], tensors: Sequence[Planned]) -> None:
    writer = gguf.GGUFWriter(None, ARCHITECTURE)
    try:
        for entry in entries:
            writer.add_key_value(entry.key, entry.value, entry.kind, entry.element)
        for tensor in tensors:
            writer.add_tensor_info(
                tensor.name,
                tensor.source.shape,
                np.dtype(DTYPES[tensor.type]),
                tensor.size,
                raw_dtype=gguf.GGMLQuantizationType[tensor.type],
            )
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _encode(tensor: Planned, block: values.Block) -> values.Block:
    source = tensor.source
    try:
        return values.encode(block, source.dtype, tensor.type)
    except values.NotFiniteError as error:
        raise ConversionError(
            f"{source.path}: {source.name} holds NaN or infinite values; the checkpoint is "
            "damaged, download it again"
        ) from error
    except values.TooLargeError as error:
        raise ConversionError(
            f"{source.path}: {source.name} holds values beyond the range of {tensor.type.lower()}; "
            "try --type bf16"
        ) from error


def _look(tensor: Planned, look: Weights, data: values.Block) -> None:
    try:
        look.feed(data.data.cast("B"))
    except ValueError as error:
        raise ConversionError(
            f"{tensor.source.path}: {tensor.source.name} holds {error}; the checkpoint is damaged, "
            "download it again"
        ) from error


def _row(tensor: Planned) -> int:
    """Bytes in a row."""
    return tensor.size // tensor.source.count * tensor.source.shape[-1]


def _empty(tensor: Planned, padding: Sequence[bool]) -> Sequence[bool] | None:
    return padding if tensor.source.name in (EMBEDDING, HEAD) else None


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
