"""Numbers change their type exactly as gguf-py and numpy change them."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.convert.values import NotFiniteError, TooLargeError, encode, finite

ALL_16_BITS = np.arange(2**16, dtype="<u2")
floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


def test_every_bfloat16_keeps_its_bits_and_its_value() -> None:
    bits = ALL_16_BITS[(ALL_16_BITS & 0x7F80) != 0x7F80]
    assert encode(bits, "BF16", "BF16") is bits
    wide = encode(bits, "BF16", "F32")
    assert np.array_equal(wide.view("<u4"), bits.astype("<u4") << 16)
    assert np.array_equal(encode(wide, "F32", "BF16"), bits)


def test_every_float16_goes_to_bfloat16_as_in_gguf() -> None:
    halves = ALL_16_BITS.view("<f2")
    halves = halves[np.isfinite(halves)]
    assert np.array_equal(encode(halves, "F16", "BF16"), _by_gguf(halves.astype("<f4")))


def test_every_bfloat16_goes_to_float16_as_in_numpy_or_is_refused() -> None:
    for bits in np.array_split(ALL_16_BITS, 4096):
        values = (bits.astype("<u4") << 16).view("<f4")
        if not np.isfinite(values).all():
            with pytest.raises(NotFiniteError):
                encode(bits, "BF16", "F16")
        elif np.abs(values).max() >= 65520:  # rounds to infinity
            with pytest.raises(TooLargeError):
                encode(bits, "BF16", "F16")
        else:
            assert encode(bits, "BF16", "F16").tobytes() == values.astype("<f2").tobytes()


@given(floats)
def test_float32_goes_to_bfloat16_as_in_gguf(numbers: list[float]) -> None:
    values = np.array(numbers, dtype="<f4")
    expected = _by_gguf(values)
    if not finite(expected, "BF16"):
        with pytest.raises(TooLargeError):
            encode(values, "F32", "BF16")
    else:
        assert np.array_equal(encode(values, "F32", "BF16"), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("target", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("source", ["F32", "F16", "BF16"])
def test_what_is_not_finite_is_refused(bad: float, source: str, target: str) -> None:
    block = np.array([0, bad, 1], dtype="<f4")
    if source == "F16":
        block = block.astype("<f2")
    elif source == "BF16":
        block = (block.view("<u4") >> 16).astype("<u2")
    with pytest.raises(NotFiniteError):
        encode(block, source, target)


def _by_gguf(values: np.ndarray) -> np.ndarray:
    return gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16).view("<u2")
