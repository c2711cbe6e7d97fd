"""A flag that native code reads while it computes, and any thread may set.

llama.cpp calls a callback between the nodes of a graph, some six hundred times a pass. A Python
function would need the interpreter's lock each time; libc's ``strlen`` does not. Given a buffer of
two bytes, it returns 0 (continue) while the first byte is 0, and 1 (stop) when it is not.

This module does not know llama.cpp.
"""

from __future__ import annotations

import ctypes
from typing import Any


class StopFlag:
    """Whether the computation shall stop."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Set the flag."""
        self._bytes[0] = b"\x01"

    def clear(self) -> None:
        """Clear the flag."""
        self._bytes[0] = b"\x00"

    @property
    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._bytes[0] != b"\x00"

    @property
    def address(self) -> ctypes.c_void_p:
        """The argument for ``asks_for_stop``; valid as long as this object lives."""
        return ctypes.cast(self._bytes, ctypes.c_void_p)


def asks_for_stop(kind: Any) -> Any:
    """A native function of a given ctypes type: is the flag at this address set?"""
    libc = ctypes.cdll.msvcrt if hasattr(ctypes, "windll") else ctypes.CDLL(None)
    return ctypes.cast(libc.strlen, kind)
