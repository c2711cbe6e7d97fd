"""From a conversation to the token ids of its question.

Text and control tokens are put together by id: the text of a message goes through the tokenizer as
plain text, whatever it spells, and only the protocol's own framing becomes control tokens. The text
is brought to Unicode NFC first, as the reference tokenizer does and llama.cpp does not.

A long text goes through the tokenizer in parts, so that it can be stopped: a megabyte takes half a
second. The parts end where the tokenizer never joins what stands on both sides, so the ids are
those of the whole.

This module does not cut a question that is too long (edgeguard.windows does).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from edgeguard.errors import CancelledError, ModelError
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import MODES, Mode
from edgeguard.protocol.question import Control, Piece, question
from edgeguard.session.interface import Session

_PART = 1 << 14
"""Characters of a part: some ten milliseconds."""
_LONGEST = 1 << 20
"""Of a part without a seam. It is cut anywhere then, and may have a token more."""

# Qwen2's pre-tokenizer has no piece in which a space follows something else, and none in which a
# letter is followed by something else. Where words have no spaces, the second one is needed.
_SEAM = re.compile(r"(?<=\S)(?= )|(?<=[ぁ-ヺ一-鿋가-힣])(?=[\n，。、！？])")


@dataclass(frozen=True)
class Question:
    """The token ids of a question.

    The first ``prefix`` and the last ``suffix`` are the same for every one of its mode; between
    them is the conversation.
    """

    mode: Mode
    tokens: tuple[int, ...]
    prefix: int
    suffix: int


class QuestionTokenizer:
    """Writes questions for one session's vocabulary."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shared = {mode: self._ends(mode) for mode in MODES}

    @property
    def prefixes(self) -> tuple[tuple[int, ...], ...]:
        """The ids that the questions of each mode begin with."""
        return tuple(prefix for prefix, _ in self._shared.values())

    def question(self, messages: tuple[Message, ...], most: int | None = None) -> Question:
        """The question for a conversation of any length; after ``most`` tokens and one it ends.

        Raises CancelledError.
        """
        end = None if most is None else most + 1
        mode, tokens = mode_of(messages), tuple(islice(self._tokens(messages), end))
        prefix, suffix = self._shared[mode]
        begins = tokens[: len(prefix)] == prefix
        return Question(mode, tokens, len(prefix) if begins else 0, len(suffix))

    def _tokens(self, messages: tuple[Message, ...]) -> Iterator[int]:
        return (token for piece in question(messages) for token in self._piece(piece))

    def _piece(self, piece: Piece) -> Iterator[int]:
        if isinstance(piece, Control):
            token = self._session.control_token(piece.text)
            if token is None:
                raise ModelError(f"the model's vocabulary has no token {piece.text}")
            yield token
        else:
            yield from ids_of(self._session, unicodedata.normalize("NFC", piece))

    def _ends(self, mode: Mode) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that questions with nothing in common begin with, and those they end with."""
        # The tokenizer joins a mark at a text's end with the blank line after it, so the second
        # probe ends with one: what is left as shared begins after that line.
        first, second = (tuple(self._tokens(_probe(mode, text))) for text in ("a", "\n1?"))
        start, end = 0, 1
        while first[start] == second[start]:
            start += 1
        while first[-end] == second[-end]:
            end += 1
        return first[:start], first[len(first) - end + 1 :]


def ids_of(session: Session, text: str) -> Iterator[int]:
    """The ids of a plain text in NFC. Raises CancelledError when the session is told to stop."""
    for part in parts_of(text):
        if session.flag.is_set:
            raise CancelledError("the computation was stopped")
        yield from session.tokenize(part)


def parts_of(text: str, size: int = _PART) -> Iterator[str]:
    """The text in parts of ``size`` characters or some more; tokenized alone, they give its ids."""
    first = 0
    while len(text) - first > size:
        seam = _SEAM.search(text, first + size, first + _LONGEST)
        end = seam.start() if seam else first + _LONGEST
        yield text[first:end]
        first = end
    yield text[first:]


def last_seam(text: str) -> int:
    """The last place where the tokenizer joins nothing, however the text goes on; 0: none."""
    return max((seam.start() for seam in _SEAM.finditer(text)), default=0)


def _probe(mode: Mode, text: str) -> tuple[Message, ...]:
    user = Message("user", text)
    return (user,) if mode == "prompt" else (user, Message("assistant", text))
