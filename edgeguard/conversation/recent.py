"""The verdicts of the last texts, by key, in memory that does not grow.

This module does not know what a verdict is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

SIZE = 10_000
"""How many different texts are remembered: some 10 MB of verdicts."""

V = TypeVar("V")


class Memory(Protocol[V]):
    """Values by key."""

    def get(self, key: bytes) -> V | None:
        """The value, if it is remembered."""

    def put(self, key: bytes, value: V) -> None:
        """Remember a value."""


class Recent(Generic[V]):
    """The values that were last asked for; the one not asked for the longest goes first."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        """The value, if it is remembered."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Remember a value."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
