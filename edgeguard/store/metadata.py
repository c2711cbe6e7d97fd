"""What a GGUF file says of itself: the keys and values of its header.

Read without llama.cpp, so that it works where that cannot be loaded. Of an array only the length
is kept: the tokenizer's arrays have 150,000 elements. Format: ggml/docs/gguf.md in llama.cpp's
repository, versions 2 and 3, little-endian.

This module does not read tensors and does not judge what the values mean.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgeguard.errors import ModelError, StoreError

_SCALARS = {
    kind: f"<{code}" for kind, code in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd")
}
"""The scalar types by their number in the format, as the module struct spells them."""

_STRING, _ARRAY = 8, 9
_MOST_KEYS = 100_000


@dataclass(frozen=True)
class Array:
    """An array in the header, of which only the length was read."""

    length: int

    def __str__(self) -> str:
        return f"[{self.length:,} elements]"


Value = str | int | float | bool | Array


def read_metadata(path: Path) -> dict[str, Value]:
    """The header of a GGUF file.

    Raises ModelError when it is not a whole GGUF header, StoreError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path.stat().st_size).header()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, struct.error) as error:
        raise ModelError(
            f"{path} is no whole GGUF file ({error}); make or fetch it again"
        ) from error


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def header(self) -> dict[str, Value]:
        if self._take(4) != b"GGUF":
            raise ValueError("it does not start with GGUF")
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} is unknown")
        self._number("<Q")  # how many tensors
        count = self._number("<Q")
        if count > _MOST_KEYS:
            raise ValueError(f"{count} keys")
        return {self._string(): self._value(int(self._number("<I"))) for _ in range(int(count))}

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise ValueError(f"value type {kind} is unknown")
        return self._number(_SCALARS[kind])

    def _array(self) -> Array:
        kind, length = int(self._number("<I")), int(self._number("<Q"))
        if kind == _STRING:
            for _ in range(length):
                self._skip(int(self._number("<Q")))
        elif kind in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[kind]))
        else:
            raise ValueError(f"an array of type {kind} is unknown")
        return Array(length)

    def _string(self) -> str:
        return self._take(int(self._number("<Q"))).decode("utf-8", "replace")

    def _number(self, form: str) -> int | float | bool:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        assert isinstance(value, (int, float, bool))
        return value

    def _take(self, size: int) -> bytes:
        self._count(size)
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("it ends early")
        return data

    def _skip(self, size: int) -> None:
        self._count(size)
        if size < 4096:
            self._file.read(size)  # a seek would throw the buffer away
        else:
            self._file.seek(size, 1)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("it ends early")
