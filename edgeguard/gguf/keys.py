"""Looks up a header's keys, each with the type that llama.cpp reads. Reads no file."""

from __future__ import annotations

import math

from edgeguard.gguf.header import FLOAT32, STRING, UINT32, Array, Header, Value

_MOST = 2**31 - 1


class Keys:
    """A header's values by key; a missing key or another type is a ValueError."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def __contains__(self, key: str) -> bool:
        return key in self._header.keys

    def count(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number; ``default`` where the key is missing."""
        value = self._of(key, UINT32, default)
        if not isinstance(value, int) or not least <= value <= _MOST:
            raise ValueError(f"{key} is {shown(value)}")
        return value

    def number(self, key: str) -> float:
        """A positive number."""
        value = self._of(key, FLOAT32, None)
        if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
            raise ValueError(f"{key} is {shown(value)}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        return str(self._of(key, STRING, default))

    def array(self, key: str, kind: int) -> Array:
        """A non-empty array with elements of one type."""
        value = self._header.keys.get(key)
        if not isinstance(value, Array) or value.kind != kind or not value.length:
            raise ValueError(f"{key} is missing, empty or of another type")
        return value

    def _of(self, key: str, kind: int, default: Value | None) -> Value:
        value = self._header.keys.get(key, default)
        if value is None:
            raise ValueError(f"{key} is missing")
        if key in self._header.keys and self._header.kinds[key] != kind:
            raise ValueError(f"{key} is {shown(value)}, of another type than it should be")
        return value


def shown(value: object) -> str:
    """A value from a file, safe to show in a message: one line, no control characters, not long."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    if isinstance(value, Array):
        text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
