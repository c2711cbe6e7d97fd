"""The header of a GGUF file: its keys and values, and its table of tensors.

Format: docs/gguf.md of ggml, versions 2 and 3, little-endian. Every irregularity is an error: a
string that is not UTF-8 or contains NUL (where llama.cpp would end it), a repeated key or tensor, a
tensor outside the file or overlapping another one, an unknown type.

This module reads no tensor data and does not judge what the values mean.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from edgeguard.files import open_regular
from edgeguard.gguf.tensor_types import TYPES, TensorType

_SCALARS = {
    kind: struct.Struct(f"<{code}")
    for kind, code in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd")
}
"""The scalar types by their number in the format, as the module struct spells them."""

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
_LENGTH = struct.Struct("<Q")

_FIRST_READ = 8 << 20  # enough for the header of a Qwen3, 7 MB
_LONGEST = 128 << 20
_MOST_KEYS, _MOST_TENSORS, _MOST_DIMENSIONS = 4096, 8192, 4
_ALIGNMENT = 32


@dataclass(frozen=True)
class Array:
    """An array of one type: strings as bytes, numbers as they are stored."""

    kind: int
    length: int
    strings: Sequence[bytes] = ()
    numbers: bytes = b""

    def __str__(self) -> str:
        return f"[{self.length:,} elements]"


Value = str | int | float | bool | Array


@dataclass(frozen=True)
class TensorInfo:
    """A tensor: its dimensions in the file's order (length of a row first), and its offset."""

    name: str
    dimensions: tuple[int, ...]
    type: TensorType
    start: int
    """In bytes from the start of the file."""

    @property
    def size(self) -> int:
        """The size in bytes, without padding."""
        return prod(self.dimensions) // self.type.values * self.type.size

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return prod(self.dimensions[1:])


@dataclass(frozen=True)
class Header:
    """``kinds`` and ``places`` give each key's type and the offset of its value in the file."""

    keys: Mapping[str, Value]
    kinds: Mapping[str, int]
    places: Mapping[str, int]
    tensors: tuple[TensorInfo, ...]
    """In the order of their offsets."""


def read_header(path: Path) -> Header:
    """Read a file's header. Raises ValueError (what is wrong with it), OSError."""
    with open_regular(path) as file:
        return parse_header(file)


def parse_header(file: BinaryIO) -> Header:
    """The header of an open file; moves its position. Raises ValueError, OSError."""
    size = os.fstat(file.fileno()).st_size
    wanted = _FIRST_READ
    while True:
        file.seek(0)
        data = file.read(wanted)
        try:
            return _Reader(data, size).header()
        except _ShortError as error:
            if len(data) < wanted:
                raise ValueError("it ends early") from error
            if wanted >= _LONGEST:
                raise ValueError("its header has no end") from error
            wanted *= 4


class OtherFileError(ValueError):
    """The file is not GGUF; the message says what it is, and what to do."""


class _ShortError(Exception):
    """More of the file must be read first."""


class _Reader:
    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size
        self._at = 0

    def header(self) -> Header:
        self._magic()
        tensors, keys = self._length(), self._length()
        if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise ValueError(f"{keys} keys and {tensors} tensors")
        values: dict[str, Value] = {}
        kinds: dict[str, int] = {}
        places: dict[str, int] = {}
        for _ in range(keys):
            key = self._string("a key")
            if not key or key in values:
                raise ValueError(
                    f"the key {_quoted(key)} is there twice" if key else "an empty key"
                )
            kinds[key] = self._number(UINT32)
            places[key] = self._at
            values[key] = self._value(kinds[key], key)
        found = [self._tensor() for _ in range(tensors)]
        return Header(values, kinds, places, self._placed(found, _alignment(values, kinds)))

    def _magic(self) -> None:
        if len(self._data) < 4 and b"GGUF".startswith(self._data):
            raise ValueError("it ends early")
        if self._data[:4] != b"GGUF":
            raise OtherFileError(_what_else(self._data))
        self._take(4)
        version = self._number(UINT32)
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} is unknown")

    def _value(self, kind: int, key: str) -> Value:
        if kind == STRING:
            return self._string(key)
        if kind == ARRAY:
            return self._array(key)
        if kind not in _SCALARS:
            raise ValueError(f"the value of {_quoted(key)} has the unknown type {kind}")
        if kind == BOOL and self._data[self._at : self._at + 1] > b"\1":
            raise ValueError(f"the value of {_quoted(key)} is neither true nor false")
        return self._scalar(kind)

    def _array(self, key: str) -> Array:
        kind, length = self._number(UINT32), self._length()
        if kind == STRING:
            return Array(kind, length, strings=self._strings(length, key))
        if kind not in _SCALARS:
            raise ValueError(f"{_quoted(key)} is an array of the unknown type {kind}")
        return Array(kind, length, numbers=self._take(length * _SCALARS[kind].size))

    def _strings(self, count: int, key: str) -> list[bytes]:
        if count > self._size:
            raise ValueError("it ends early")
        data, at, unpack = self._data, self._at, _LENGTH.unpack_from
        found = []
        try:
            for _ in range(count):
                start = at + 8
                at = start + unpack(data, at)[0]
                found.append(data[start:at])
        except (struct.error, OverflowError) as error:
            raise self._short(at) from error
        if at > len(data):
            raise self._short(at)
        self._at = at
        _check_text(b"\n".join(found), key)
        return found

    def _tensor(self) -> TensorInfo:
        name = self._string("a tensor's name")
        count = self._number(UINT32)
        if not 1 <= count <= _MOST_DIMENSIONS:
            raise ValueError(f"the tensor {_quoted(name)} has {count} dimensions")
        dimensions = tuple(self._length() for _ in range(count))
        kind = self._number(UINT32)
        if kind not in TYPES:
            raise ValueError(
                f"the tensor {_quoted(name)} has the type {kind}, which holds no weights"
            )
        shape = TYPES[kind]
        if not all(dimensions) or prod(dimensions) > self._size * 1024:
            raise ValueError(f"the tensor {_quoted(name)} has the dimensions {list(dimensions)}")
        if dimensions[0] % shape.values:
            raise ValueError(
                f"the tensor {_quoted(name)} has rows of {dimensions[0]} values, and {shape.name} "
                f"needs a multiple of {shape.values}"
            )
        return TensorInfo(name, dimensions, shape, self._length())

    def _placed(self, tensors: list[TensorInfo], alignment: int) -> tuple[TensorInfo, ...]:
        """The tensors with their real offsets: in order, without overlap, and inside the file."""
        if len({tensor.name for tensor in tensors}) < len(tensors):
            raise ValueError("two tensors have one name")
        end = base = self._at + -self._at % alignment
        placed = []
        for tensor in sorted(tensors, key=lambda tensor: tensor.start):
            start = base + tensor.start
            if start != end:
                raise ValueError(
                    f"the tensor {_quoted(tensor.name)} does not lie behind the others"
                )
            if start + tensor.size > self._size:
                raise ValueError(
                    f"the tensor {_quoted(tensor.name)} ends at byte {start + tensor.size:,}, "
                    f"and the file at {self._size:,}: it is not whole"
                )
            placed.append(TensorInfo(tensor.name, tensor.dimensions, tensor.type, start))
            end = start + tensor.size
            end += -end % alignment
        return tuple(placed)

    def _string(self, what: str) -> str:
        return _check_text(self._take(self._length()), what)

    def _length(self) -> int:
        (value,) = _LENGTH.unpack(self._take(8))
        return int(value)

    def _number(self, kind: int) -> int:
        return int(self._scalar(kind))

    def _scalar(self, kind: int) -> int | float | bool:
        form = _SCALARS[kind]
        (value,) = form.unpack(self._take(form.size))
        assert isinstance(value, (int, float, bool))
        return value

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise self._short(end)
        data = self._data[self._at : end]
        self._at = end
        return data

    def _short(self, end: int) -> Exception:
        return _ShortError() if end <= self._size else ValueError("it ends early")


def _alignment(values: Mapping[str, Value], kinds: Mapping[str, int]) -> int:
    value = values.get("general.alignment", _ALIGNMENT)
    if kinds.get("general.alignment", UINT32) != UINT32 or value not in (
        *(8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
    ):
        raise ValueError(f"general.alignment is {value}")
    assert isinstance(value, int)
    return value


def _check_text(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{_quoted(what)} holds text that is not UTF-8") from error
    if b"\0" in data:
        raise ValueError(f"{_quoted(what)} holds a NUL character")
    return text


def _quoted(text: str) -> str:
    """A name from the file, safe to show in a message."""
    return text if text.isprintable() and len(text) <= 80 else ascii(text[:80])


def _what_else(data: bytes) -> str:
    """What kind of file it is, if not GGUF, and what to do about it."""
    if data.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file: type `git lfs pull` in its folder"
    if data[:256].lstrip()[:1] == b"<":
        return "is a web page: a login page or a proxy was in the way; fetch the file again"
    if data.startswith((b"PK\x03\x04", b"\x80\x02")):
        return (
            "is a PyTorch file, not GGUF; take the checkpoint's safetensors files, and type "
            "`edgeguard convert` with their folder"
        )
    if data[8:10] == b'{"':
        return "is a safetensors file, not GGUF; type `edgeguard convert` with its folder"
    if not any(data):
        return "holds nothing but zeros: a download or a copy was not finished; fetch it again"
    return "is no GGUF file; name one, or fetch the model with `edgeguard pull`"
