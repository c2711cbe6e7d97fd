"""Writes a GGUF file: the head by gguf's own writer, the tensors behind it block by block.

Format: docs/gguf.md of ggml. Only one block of one tensor is in memory at a time. This module
does not choose names, types or keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy as np

from edgeguard.convert import values
from edgeguard.convert.layout import Planned
from edgeguard.convert.metadata import ARCHITECTURE, Entry
from edgeguard.convert.weights import DTYPES, blocks
from edgeguard.errors import ConversionError

_ALIGNMENT = gguf.GGUF_DEFAULT_ALIGNMENT


def write(
    path: Path,
    entries: Sequence[Entry],
    tensors: Sequence[Planned],
    advance: Callable[[int], None],
) -> None:
    """Write the file; `advance` is called with each count of tensor bytes written.

    Raises ConversionError for values that are not finite or that the type cannot hold, and
    OSError where the system refuses.
    """
    _write_head(path, entries, tensors)
    with path.open("ab") as file:
        _pad(file)
        for tensor in tensors:
            for block in blocks(tensor.source):
                data = _encode(tensor, block)
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


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
