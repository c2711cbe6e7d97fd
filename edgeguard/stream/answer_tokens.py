"""The tokens of a conversation and of a growing response, and where each token ends.

The tokenizer treats a response and the blank line before it as one text. Up to the last word border
(edgeguard.tokens.last_seam), its tokens are final, whatever follows; the rest is tokenized again
each time. The last tokens of the rest are held back, because half a word is labelled differently
from the whole word, and because one to four tokens at the end can change as more text arrives. In a
text with long stretches without borders, such as Thai or an address, the tokens before these four
are passed on at once, and taken back in the rare case that they change.

This module computes nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from edgeguard.errors import ModelError
from edgeguard.protocol.question import Control, Piece
from edgeguard.protocol.stream import ANSWER_START
from edgeguard.session.interface import Session
from edgeguard.stream.text import GrowingText
from edgeguard.tokens import ids_of, last_seam

HELD_BACK = 4
_LONGEST = 1 << 13
"""The most characters without a border; a longer text is cut, which may add a token."""


def ids(session: Session, pieces: Iterable[Piece]) -> list[int]:
    """The ids of pieces: control tokens by name, everything else as plain text in NFC."""
    found: list[int] = []
    for piece in pieces:
        if isinstance(piece, Control):
            token = session.control_token(piece.text)
            if token is None:
                raise ModelError(f"the model's vocabulary has no token {piece.text}")
            found.append(token)
        else:
            found.extend(ids_of(session, unicodedata.normalize("NFC", piece)))
    return found


class AnswerTokens:
    """The tokens of a response, as they become known."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._text = GrowingText()
        self._tail = ANSWER_START  # the text after the last border
        self._settled: list[int] = []
        self._open: list[int] = []
        self._sizes: dict[int, int] = {}
        self._whole = False

    @property
    def settled(self) -> int:
        """How many of the ids are final, whatever follows."""
        return len(self._settled)

    def ids_from(self, start: int) -> list[int]:
        """The ids that can be judged now, from ``start`` on; ids before ``start`` must be final.

        They include the blank line, whose token is not part of the response.
        """
        held = 0 if self._whole else HELD_BACK
        return self._settled[start:] + self._open[: max(0, len(self._open) - held)]

    @property
    def length(self) -> int:
        """The characters given so far."""
        return self._text.length

    def add(self, text: str) -> None:
        """Add more of the response. Raises CancelledError, but keeps the text."""
        self._tail += self._text.add(text)
        self._tokenize()

    def end(self) -> None:
        """Nothing more comes: every token can be judged."""
        self._tail += self._text.end()
        self._tokenize()
        self._whole = True

    def ends(self, tokens: list[int], start: int) -> list[int]:
        """Where tokens end, in bytes of the response in NFC; the first begins at ``start``."""
        found = []
        for token in tokens:
            start += self._size(token)
            found.append(start)
        return found

    def place(self, byte: int, *, up: bool = False) -> int:
        """The character of the original text that contains a byte of the NFC text."""
        return self._text.place(max(byte, 0), up=up)

    def _tokenize(self) -> None:
        while (border := self._border()) > 0:
            settled = list(ids_of(self._session, self._tail[:border]))
            self._settled += settled
            self._tail = self._tail[border:]
        self._open = list(ids_of(self._session, self._tail))

    def _border(self) -> int:
        """Where the tail can be cut: at the last border, or anywhere if it is too long."""
        border = last_seam(self._tail)
        return border or (_LONGEST if len(self._tail) > 2 * _LONGEST else 0)

    def _size(self, token: int) -> int:
        if token not in self._sizes:
            self._sizes[token] = len(self._session.token_bytes(token))
        return self._sizes[token]
