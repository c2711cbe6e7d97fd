"""The safetensors files of a checkpoint: their tensors, and the bytes of these in blocks.

Format (huggingface/safetensors, README): 8 bytes of little-endian length, that many bytes of JSON
with each tensor's dtype, shape and byte range, then the data without gaps. A header is trusted only
after every range has been compared with the real size of the file.

Blocks are read and not mapped: only one block is in memory, and a file that shrinks meanwhile
causes an error instead of a crash. This module does not know which tensors a model needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgeguard.convert.files import parse_json, pointer, read_json, short, unreadable
from edgeguard.errors import ConversionError
from edgeguard.files import open_regular

DTYPES: Mapping[str, str] = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}
"""How each dtype that we read looks to numpy, which has no bfloat16: its bits, as uint16."""

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_FILE_NAME = re.compile(r"[\w.-]+\.safetensors", re.ASCII)
_MAX_HEADER = 100_000_000  # the limit of the safetensors library, in bytes
_BLOCK = 1 << 21  # values read at a time


@dataclass(frozen=True)
class Tensor:
    """A tensor in a file: `dtype` as safetensors names it, `offset` in bytes from the start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int

    @property
    def count(self) -> int:
        """How many values it has."""
        return prod(self.shape)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name, in the order in which the reference writes them.

    That is file by file, and by name within a file. Raises ConversionError for a file that is
    missing, damaged or cut short, and if the index and the files disagree.
    """
    index = folder / INDEX
    if not index.exists():
        return _by_name(folder, _single_file(folder))
    weight_map = _weight_map(index)
    tensors = _by_name(folder, sorted(set(weight_map.values())))
    _compare(index, weight_map, tensors)
    return tensors


def blocks(tensor: Tensor) -> Iterator[NDArray[Any]]:
    """The values in flat blocks, in the dtype that DTYPES gives. Raises ConversionError."""
    left = tensor.count
    try:
        with open_regular(tensor.path) as file:
            file.seek(tensor.offset)
            while left:
                block = np.fromfile(file, DTYPES[tensor.dtype], min(left, _BLOCK))
                if not block.size:
                    raise ConversionError(f"{tensor.path} became shorter while it was read")
                left -= block.size
                yield block
    except OSError as error:
        raise unreadable(tensor.path, error) from error


def _single_file(folder: Path) -> list[str]:
    if (folder / SINGLE).exists():
        return [SINGLE]
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        raise ConversionError(
            f"{folder} has {others[0]} but no {INDEX}; download the whole checkpoint"
        )
    raise ConversionError(f"{folder} has no {SINGLE}; download the whole checkpoint")


def _weight_map(index: Path) -> dict[str, str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ConversionError(f"{index} has no weight_map; download the file again")
    for file in weight_map.values():
        # A name with a folder in it could read files outside the checkpoint.
        if not isinstance(file, str) or not _FILE_NAME.fullmatch(file):
            raise ConversionError(f"{index} names {short(file)}, which is no file of this folder")
    return weight_map


def _by_name(folder: Path, files: list[str]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        for tensor in read_file(folder / file):
            if tensor.name in tensors:
                raise ConversionError(f"{folder}: two files hold the tensor {short(tensor.name)}")
            tensors[tensor.name] = tensor
    return tensors


def _compare(index: Path, weight_map: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].path.name != file:
            raise ConversionError(
                f"{index} says that {short(file)} holds {short(name)}, and it does not; "
                "download both again"
            )
    for name, tensor in tensors.items():
        if name not in weight_map:
            raise ConversionError(
                f"{tensor.path} holds {short(name)}, which {INDEX} does not list; "
                "download both again"
            )


def read_file(path: Path) -> list[Tensor]:
    """The tensors of one safetensors file, by name. Raises ConversionError for a damaged file."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            header, start = _header(path, file, size)
    except FileNotFoundError as error:
        raise ConversionError(
            f"{path.parent} has no {path.name}; download the whole checkpoint"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    tensors = [_tensor(path, name, entry, start) for name, entry in sorted(header.items())]
    _check_ranges(path, header, size - start)
    return tensors


def _header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header without its comments, and the offset of the data."""
    start = file.read(8)
    if start == b"version ":
        raise pointer(path)
    length = int.from_bytes(start, "little")
    if size < 8 or not 0 < length <= min(size - 8, _MAX_HEADER):
        raise _damaged(path, f"its header of {length} bytes does not fit a file of {size}")
    try:
        text = file.read(length).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, "its header is not UTF-8") from error
    header = parse_json(text, path)
    header.pop("__metadata__", None)
    return header, 8 + length


def _tensor(path: Path, name: str, entry: Any, start: int) -> Tensor:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"the entry of {short(name)} makes no sense")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ConversionError(
            f"{path}: {short(name)} is stored as {short(dtype)}; known: {', '.join(DTYPES)}; "
            "take the checkpoint in bfloat16"
        )
    width = np.dtype(DTYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != prod(shape) * width:
        size = offsets[1] - offsets[0]
        raise _damaged(path, f"{short(name)} has {size} bytes for the shape {short(shape)}")
    return Tensor(name, dtype, tuple(shape), path, start + offsets[0])


def _check_ranges(path: Path, header: Mapping[str, Any], size: int) -> None:
    """Check that the data are without gap or overlap and end where the file ends."""
    end = 0
    for start, stop in sorted(entry["data_offsets"] for entry in header.values()):
        if start != end:
            raise _damaged(path, f"its data have a gap or an overlap at byte {min(start, end)}")
        end = stop
    if end > size:
        raise _damaged(path, f"it is cut short: {size} bytes of data where {end} belong")
    if end < size:
        raise _damaged(path, f"it has {size - end} bytes too many")


def _counts(values: object) -> bool:
    return isinstance(values, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**63 for v in values
    )


def _damaged(path: Path, why: str) -> ConversionError:
    return ConversionError(f"{path} is not a sound safetensors file: {why}; download it again")
