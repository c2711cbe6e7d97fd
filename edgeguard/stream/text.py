"""A growing response in Unicode NFC, with positions in the original text.

The last character is held back, since a mark that follows may combine with it. This module does not
know where words end, and tokenizes nothing.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right

_PART = 64
"""The least characters of a part; a position is searched for in one part."""
_ALONE = (" ", "\n", "\r", "\t")
"""Characters that no mark combines with."""
_MARKS = frozenset({"Mn", "Mc", "Me"})
# Hangul vowels and finals, which are not marks but combine too
_JAMO = ((0x1161, 0x1175), (0x11A8, 0x11C2))


class GrowingText:
    """Takes the original text and returns it in NFC, without leading line breaks.

    Qwen3's chat template strips those from an answer.
    """

    def __init__(self) -> None:
        self._skipped = 0
        self._waiting = ""
        self._begun = False
        self._chars = 0  # length of the finished parts in the original text
        self._bytes = 0  # the same in NFC
        self._parts: list[tuple[int, int, str]] = []  # each part's start in both, and its text
        self._starts: list[int] = []

    @property
    def length(self) -> int:
        """Characters given so far."""
        return self._skipped + self._chars + len(self._waiting)

    def add(self, text: str) -> str:
        """The NFC text that is new, including what was held back."""
        if not self._begun:
            stripped = text.lstrip("\n")
            self._skipped += len(text) - len(stripped)
            text, self._begun = stripped, bool(stripped)
        waiting = self._waiting + text
        last = next((i for i in range(len(waiting) - 1, 0, -1) if _begins(waiting[i])), 0)
        if waiting[-1:] in _ALONE:
            last = len(waiting)
        self._waiting = waiting[last:]
        return self._done(waiting[:last])

    def end(self) -> str:
        """What is still held back, in NFC."""
        waiting, self._waiting = self._waiting, ""
        return self._done(waiting)

    def place(self, byte: int, *, up: bool = False) -> int:
        """The character of the original text that contains a byte of the NFC text.

        Inside a character, or inside several that NFC combined: the position before, or after:
        ``up``.
        """
        if byte >= self._bytes:
            return self._skipped + self._chars
        index = bisect_right(self._starts, byte) - 1
        start, char, given = self._parts[index]
        wanted = byte - start
        if given.isascii():
            return self._skipped + char + wanted
        at = 0
        for segment in segments(given):
            size = len(unicodedata.normalize("NFC", segment).encode())
            if at + size > wanted:
                inside = up and wanted > at
                return self._skipped + char + (len(segment) if inside else 0)
            at, char = at + size, char + len(segment)
        return self._skipped + char

    def _done(self, given: str) -> str:
        found = []
        while given:
            end = next((i for i in range(_PART, len(given)) if _begins(given[i])), len(given))
            part, given = given[:end], given[end:]
            self._parts.append((self._bytes, self._chars, part))
            self._starts.append(self._bytes)
            found.append(unicodedata.normalize("NFC", part))
            self._bytes += len(found[-1].encode())
            self._chars += len(part)
        return "".join(found)


def segments(text: str) -> list[str]:
    """The text in parts that NFC never combines: each a character with its marks."""
    found: list[str] = []
    for character in text:
        if found and found[-1] not in _ALONE and not _begins(character):
            found[-1] += character
        else:
            found.append(character)
    return found


def _begins(character: str) -> bool:
    """Whether NFC never combines the character with the one before it."""
    if character < "\u0300":
        return True
    code = ord(character)
    return unicodedata.category(character) not in _MARKS and not any(
        first <= code <= last for first, last in _JAMO
    )
