"""A flag that native code reads while it computes, and any thread may set.

llama.cpp asks a callback between the nodes of a graph, some six hundred times a pass. A Python
function there would need the interpreter's lock each time; libc's ``strlen`` does not: given a
buffer of two bytes it answers 0 (go on) while the first one is 0, and 1 (stop) when it is not.

This module does not know llama.cpp.
"""

from __future__ import annotations

import ctypes
from typing import Any


class StopFlag:
    """Whether what computes shall stop."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Stop."""
        self._bytes[0] = b"\x01"

    def clear(self) -> None:
        """Go on."""
        self._bytes[0] = b"\x00"

    @property
    def is_set(self) -> bool:
        """Whether it is set."""
        return self._bytes[0] != b"\x00"

    @property
    def address(self) -> ctypes.c_void_p:
        """Where ``asks_for_stop`` finds it; good as long as this object lives."""
        return ctypes.cast(self._bytes, ctypes.c_void_p)


def asks_for_stop(kind: Any) -> Any:
    """A native function of a ctypes function type: is the flag at this address set?"""
    libc = ctypes.cdll.msvcrt if hasattr(ctypes, "windll") else ctypes.CDLL(None)
    return ctypes.cast(libc.strlen, kind)
