"""The elements of a JSON array, one after another, as bytes; only one is in memory.

Brackets and strings tell where an element ends. Whether it is valid JSON is checked later, so that
one bad element does not hide the next. This module opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgeguard.errors import InputError

_MARK = re.compile(rb'["{}\[\],]')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.S)
_SPACE = b" \t\r\n"
_SHOWN = 1 << 16
"""How many bytes of an invalid element are kept."""


@dataclass(frozen=True)
class Element:
    """The bytes of an element, and the offset in the file at which the rest begins.

    With a ``problem`` it is not an element, and is the last one: ``after`` is the file's end.
    """

    raw: bytes
    after: int
    problem: str = ""


class Elements:
    """An array that arrives in chunks."""

    def __init__(self, chunks: Iterable[bytes], offset: int, most: int) -> None:
        """``chunks`` begin at that offset of the file: 0, or after an element.

        ``most`` is the maximum size of an element, in bytes.
        """
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._offset = offset
        self._most = most

    def __iter__(self) -> Iterator[Element]:
        """The elements. Raises InputError if there is no array, or an element is too long."""
        if self._offset == 0:
            self._open()
        elif not self._more():
            return
        elif self._buffer[:1] == b",":
            self._taken(0)
        while (end := self._end()) is not None:
            closes = self._buffer[end : end + 1] == b"]"
            raw = self._taken(end)
            if raw or not closes:
                yield Element(raw, self._offset - 1)
            if closes:
                yield from self._after()
                return
        end = self._offset + len(self._buffer)
        yield Element(self._rest(), end, "the file ends before its array does")

    def _open(self) -> None:
        """Skip the bracket at the beginning of the array. Raises InputError."""
        while not self._buffer.lstrip(_SPACE) and self._more():
            pass
        place = len(self._buffer) - len(self._buffer.lstrip(_SPACE))
        if self._buffer[place : place + 1] != b"[":
            raise InputError("it is not a JSON array")
        self._taken(place)

    def _end(self) -> int | None:
        """Where the next element ends in the buffer; None if its end has not arrived."""
        place = depth = 0
        while True:
            mark = _MARK.search(self._buffer, place)
            if mark is not None and mark[0] == b'"':
                string = _STRING.match(self._buffer, mark.start())
                place = mark.start() if string is None else string.end()
                if string is None and not self._more():
                    return None
            elif mark is None:
                place = len(self._buffer)
                if not self._more():
                    return None
            elif depth == 0 and mark[0] in b",]":
                return mark.start()
            else:
                depth += (mark[0] in b"{[") - (mark[0] in b"}]" and depth > 0)
                place = mark.end()

    def _after(self) -> Iterator[Element]:
        """The bytes after the array, which are an error."""
        end = self._offset + len(self._buffer)
        for chunk in self._chunks:
            end += len(chunk)
            if len(self._buffer) < _SHOWN or not self._rest():
                self._buffer = (self._buffer + chunk).lstrip(_SPACE)
        if rest := self._rest():
            yield Element(rest, end, "it stands after the end of the array")

    def _rest(self) -> bytes:
        return bytes(self._buffer.lstrip(_SPACE)[:_SHOWN].rstrip(_SPACE))

    def _taken(self, end: int) -> bytes:
        """Remove and return the bytes before an index of the buffer."""
        raw = bytes(self._buffer[:end].strip(_SPACE))
        del self._buffer[: end + 1]
        self._offset += end + 1
        return raw

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        self._buffer += chunk
        if len(self._buffer) > self._most:
            raise InputError(f"an element of the array is longer than {self._most >> 20} MiB")
        return bool(chunk)
