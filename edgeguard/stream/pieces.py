"""Pieces of a text that was cut anywhere, put together to whole characters.

A piece is a str, which some programs cut between the two halves of a surrogate pair, or bytes of
UTF-8, cut inside a character. What is half waits for the next piece. This module judges nothing.
"""

from __future__ import annotations

import codecs

from edgeguard.errors import InputError


class Pieces:
    """Takes pieces in order; gives the whole characters that are new."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._half = ""  # the first half of a surrogate pair

    def add(self, piece: str | bytes) -> str:
        """What a piece completes. Raises InputError, and has then taken nothing of it."""
        if isinstance(piece, str):
            return self._text(piece)
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise InputError(f"a piece is {type(piece).__name__}, not a string or bytes")
        if self._half:
            raise _broken("half of a surrogate pair is followed by bytes")
        before = self._decoder.getstate()
        try:
            return self._decoder.decode(bytes(piece))
        except UnicodeDecodeError as error:
            self._decoder.setstate(before)
            raise _broken("its bytes are not UTF-8") from error

    def end(self) -> None:
        """Raise InputError unless the text ends with a whole character."""
        if self._half or self._decoder.getstate()[0]:
            raise _broken("it ends in the middle of a character")

    def _text(self, piece: str) -> str:
        if self._decoder.getstate()[0]:
            raise _broken("the first bytes of a character are followed by a string")
        text = self._half + piece
        half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text.removesuffix(half)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            text = _paired(text)
        self._half = half
        return text


def _paired(text: str) -> str:
    """The text with its surrogate pairs as the characters that they stand for."""
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise _broken("it has a lone surrogate") from error


def _broken(why: str) -> InputError:
    return InputError(f"the response is not valid Unicode: {why}; repair it where it was cut")
