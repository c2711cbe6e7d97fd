"""Converts numbers between floating-point types, bit for bit as the reference does.

The reference goes through float32 and rounds to nearest, ties to even; so does this. A value that
is not finite, or that the new type cannot hold, is an error: it would silently break a model.

This module reads and writes no files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[Any]

_BF16_EXPONENT = 0x7F80


class NotFiniteError(ValueError):
    """The source contains NaN or infinity."""


class TooLargeError(ValueError):
    """A value is beyond the range of the new type."""


def encode(block: Block, source: str, target: str) -> Block:
    """Values of the type `source` (BF16, F16, F32; see weights.DTYPES) as `target`, little-endian.

    bfloat16 is held as its bits in uint16, on both sides. Raises NotFiniteError, TooLargeError.
    """
    result = block if source == target else _from_float32(_to_float32(block, source), target)
    if not finite(result, target):
        raise TooLargeError if finite(block, source) else NotFiniteError
    return result


def finite(block: Block, dtype: str) -> bool:
    """Whether all values are finite: neither NaN nor infinite."""
    if dtype == "BF16":
        return not bool(np.any((block & _BF16_EXPONENT) == _BF16_EXPONENT))
    return bool(np.isfinite(block).all())


def _to_float32(block: Block, source: str) -> Block:
    if source == "BF16":
        bits: Block = block.astype("<u4") << 16
        return bits.view("<f4")
    values: Block = block.astype("<f4", copy=False)
    return values


def _from_float32(values: Block, target: str) -> Block:
    if target == "F32":
        return values
    bits = values.view("<u4")
    # Overflow becomes infinity, which is checked for afterwards. A NaN could wrap round, so it is
    # refused first.
    with np.errstate(over="ignore"):
        narrow: Block = (
            values.astype("<f2")
            if target == "F16"
            else ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")
        )
    return narrow
