"""Text that comes in pieces, cut anywhere: inside a word or inside a character.

Bytes are UTF-8 and may end inside a character. Strings may come from languages that split some
characters into two halves (UTF-16's surrogates), and may end between them. An incomplete character
is held back until the next piece. This module judges nothing.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from edgeguard.errors import InputError

_HIGH = re.compile("[\ud800-\udbff]\\Z")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")

_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
# Scripts without spaces between words, where every character ends one.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SENTENCE_ENDS = frozenset(".!?;:\n。！？；：…।॥؟۔")


class Pieces:
    """The text so far, put together from pieces."""

    def __init__(self) -> None:
        self.text = ""
        self._half = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    def add(self, piece: str | bytes) -> None:
        """Add a piece. Raises InputError for invalid Unicode; nothing is added then."""
        if isinstance(piece, str):
            self._add_text(piece)
        elif isinstance(piece, (bytes, bytearray)):
            self.text += self._decode(bytes(piece), final=False)
        else:
            raise InputError(f"a piece is {type(piece).__name__}; feed text, or bytes in UTF-8")

    def end(self) -> None:
        """End the text. Raises InputError if the last piece is cut inside a character."""
        if self._half:
            raise _half_a_character()
        self._decode(b"", final=True)

    def _add_text(self, piece: str) -> None:
        text = _PAIR.sub(_joined, self._half + piece)
        half = _HIGH.search(text)
        whole = text[: half.start()] if half else text
        if _LONE.search(whole):
            raise _half_a_character()
        self.text += whole
        self._half = text[half.start() :] if half else ""

    def _decode(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise InputError(f"the text is not UTF-8: {error.reason}") from None


def word_end(text: str, start: int) -> int:
    """The last position after ``start`` where a word ends for certain, whatever follows.

    It is before the text's end, since the last word can still grow. If there is none, a word is cut
    between two of its characters; if that is not possible either, at its last one.
    """
    places = range(len(text) - 1, start, -1)
    between = [place for place in places if _is_between(text, place)]
    ends = (place for place in between if _ends_a_word(text[place - 1], text[place]))
    return next(ends, between[0] if between else max(start, len(text) - 1))


def is_sentence_end(text: str, place: int) -> bool:
    """Whether a sentence may end at a position, which must not be the text's end."""
    before, after = text[place - 1], text[place]
    return before in _SENTENCE_ENDS and (after.isspace() or not before.isascii())


def _ends_a_word(before: str, after: str) -> bool:
    if before.isspace() != after.isspace():
        return not before.isspace()  # tokenizers put the space into the next word
    return _UNSPACED.match(before) is not None and _UNSPACED.match(after) is not None


def _is_between(text: str, place: int) -> bool:
    """Whether a position is between two characters as a reader sees them."""
    return not _goes_on(text[place]) and text[place - 1] not in _JOINERS


def _goes_on(character: str) -> bool:
    """Whether it belongs to the character before it."""
    return unicodedata.combining(character) != 0 or (
        character in _JOINERS or unicodedata.category(character) in ("Mn", "Me", "Mc")
    )


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _half_a_character() -> InputError:
    return InputError(
        "the text is not valid Unicode: a surrogate stands alone in it; repair it where it was cut"
    )
