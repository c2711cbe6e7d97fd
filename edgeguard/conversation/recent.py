"""A bounded in-memory cache of the last verdicts, by key.

This module does not know what a verdict is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

SIZE = 10_000
"""How many values are stored: some 10 MB of verdicts."""

V = TypeVar("V")


class Memory(Protocol[V]):
    """Values by key."""

    def get(self, key: bytes) -> V | None:
        """The value; None if it is not stored."""

    def put(self, key: bytes, value: V) -> None:
        """Store a value."""


class Recent(Generic[V]):
    """A cache that drops the least recently used value."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        """The value; None if it is not stored."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Store a value."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
