"""Reads lines of limited length from a pipe, and writes complete lines.

A line that is too long is read to its end and returned as None, so that the next one is understood.
A last line without an end was cut off, and is dropped. This module does not know what a line means.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

MAX_LINE = 32 << 20
"""Bytes of a line: far more than any text that is judged."""
_PIECE = 1 << 16


def read_lines(file: int, longest: int = MAX_LINE) -> Iterator[bytes | None]:
    """Each complete line, as it comes, without its end; None for one that is too long."""
    line, too_long = bytearray(), False
    while piece := _read(file):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            too_long = too_long or len(line) + len(end) > longest
            yield None if too_long else bytes(line + end)
            line, too_long = bytearray(), False
        too_long = too_long or len(line) + len(rest) > longest
        if too_long:
            line.clear()
        else:
            line += rest


class Writer:
    """Writes lines from any thread, without mixing them."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write a line. Raises OSError if nobody reads any more."""
        rest = memoryview(line + b"\n")
        with self._lock:
            while rest:
                rest = rest[os.write(self._file, rest) :]


def _read(file: int) -> bytes:
    try:
        return os.read(file, _PIECE)
    except OSError:
        return b""  # a closed input counts as ended
