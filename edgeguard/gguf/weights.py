"""Searches a file's weights, while it is read, for numbers that no sound model has.

    holes       4 KiB and more of zeros, as a half-fetched file has; the rows of padding tokens in
                the embedding may be empty
    no numbers  NaN and infinity, in values and in the scales of quantized blocks
    absurd      values and scales so large that no model has them, as random bytes give

Small damage is not noticed here, only by the digest in our own files. This module reads no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.gguf.tensor_types import TensorType

HOLE = 4096
"""So many consecutive bytes of zeros are in no tensor of a sound model."""

_EXPONENT = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000}
# 2 ** 24; the range of f16 ends far below
_ABSURD = {"f16": 0x7C00, "bf16": 0x4B80, "f32": 0x4B800000}
_ABSURD_SCALE = 0x6400  # 1024 as a half float


class Weights:
    """Takes a tensor's bytes in order; raises ValueError for numbers that no model has."""

    def __init__(
        self, type_: TensorType, size: int, row: int, empty: Sequence[bool] | None
    ) -> None:
        """``size`` and ``row`` are in bytes; ``empty`` says of each row if it may be zeros."""
        self._type = type_
        self._row = row
        self._empty = None if empty is None else np.array(empty)
        self._done = 0
        self._rest = b""
        self._run = 0  # zero blocks in a row so far
        # A hole at any offset contains at least so many whole blocks.
        self._most = min(HOLE // type_.size - 1, size // type_.size)

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if self._rest:
            data = self._rest + bytes(data)
        whole = len(data) - len(data) % self._type.size
        if whole:
            self._look(np.frombuffer(data[:whole], np.uint8).reshape(-1, self._type.size))
        self._done += whole
        self._rest = bytes(data[whole:])

    def _look(self, blocks: NDArray[np.uint8]) -> None:
        zero: NDArray[np.bool_]
        if self._type.number:
            zero = self._values(blocks)
        elif self._type.scales:
            zero = self._scales(blocks)
        else:
            zero = np.logical_not(blocks.any(axis=1))
        places = np.flatnonzero(zero)
        if self._empty is not None:
            rows = (self._done + places * self._type.size) // self._row
            places = places[~self._empty[rows]]
        self._count(places, len(zero))

    def _values(self, blocks: NDArray[np.uint8]) -> NDArray[np.bool_]:
        name = self._type.number
        bits: NDArray[Any] = blocks.reshape(-1).view(f"<u{self._type.size}")
        magnitudes = bits & (0x7FFFFFFF if name == "f32" else 0x7FFF)
        largest = magnitudes.max()
        if largest >= _EXPONENT[name]:
            raise ValueError("NaN or infinite values")
        if largest >= _ABSURD[name]:
            raise ValueError("values beyond 16,777,216")
        zero: NDArray[np.bool_] = magnitudes == 0
        return zero

    def _scales(self, blocks: NDArray[np.uint8]) -> NDArray[np.bool_]:
        zero = np.ones(len(blocks), bool)
        for offset in self._type.scales:
            scale = blocks[:, offset : offset + 2].copy().view("<u2").reshape(-1) & 0x7FFF
            largest = scale.max()
            if largest >= _EXPONENT["f16"]:
                raise ValueError("NaN or infinite scales")
            if largest >= _ABSURD_SCALE:
                raise ValueError("scales beyond 1,024")
            zero &= scale == 0
        return zero

    def _count(self, places: NDArray[np.int64], blocks: int) -> None:
        """Track the longest run of zero blocks, across the parts that are fed."""
        if not len(places):
            self._run = 0
            return
        ends = np.append(np.flatnonzero(np.diff(places) != 1), len(places) - 1)
        lengths = np.diff(ends, prepend=-1)
        if places[0] == 0:
            lengths[0] += self._run
        self._run = int(lengths[-1]) if places[-1] == blocks - 1 else 0
        longest = int(lengths.max())
        if longest >= self._most:
            size = longest * self._type.size
            raise ValueError(f"{size:,} bytes of zeros in a row: a part of the file is missing")
