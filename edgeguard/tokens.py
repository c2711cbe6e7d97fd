"""From a conversation to the token ids of its question.

A question is put together from ids: the text of a message is tokenized as plain text, whatever it
spells, and only the protocol's own framing becomes control tokens. The text is brought to Unicode
NFC first, as the reference tokenizer does and llama.cpp does not.

A long text is tokenized in parts, so that the work can be cancelled: a megabyte takes half a
second. The parts end at places across which the tokenizer never joins characters, so the ids equal
those of the whole text.

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
"""The most characters of a part without a seam; it is then cut anywhere, which may add a token."""

# Qwen2's pre-tokenizer never puts a space after another character into one piece, nor a letter
# before another kind of character. Texts without spaces between words need the second rule.
_SEAM = re.compile(r"(?<=\S)(?= )|(?<=[ぁ-ヺ一-鿋가-힣])(?=[\n，。、！？])")


@dataclass(frozen=True)
class Question:
    """The token ids of a question.

    The first ``prefix`` and the last ``suffix`` ids are the same for every question of its mode;
    the conversation is between them.
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
        """The question for a conversation; it is cut off at ``most`` tokens and one more.

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
        """The first and last ids that two questions with nothing else in common share."""
        # The tokenizer joins a mark at the end of a text with the blank line after it. The second
        # probe ends with such a mark, so the suffix that both probes share begins after that line.
        first, second = (tuple(self._tokens(_probe(mode, text))) for text in ("a", "\n1?"))
        start, end = 0, 1
        while first[start] == second[start]:
            start += 1
        while first[-end] == second[-end]:
            end += 1
        return first[:start], first[len(first) - end + 1 :]


def ids_of(session: Session, text: str) -> Iterator[int]:
    """The ids of a plain text in NFC. Raises CancelledError when the session is stopped."""
    for part in parts_of(text):
        if session.flag.is_set:
            raise CancelledError("the computation was stopped")
        yield from session.tokenize(part)


def parts_of(text: str, size: int = _PART) -> Iterator[str]:
    """The text in parts of about ``size`` characters, which can be tokenized separately."""
    first = 0
    while len(text) - first > size:
        seam = _SEAM.search(text, first + size, first + _LONGEST)
        end = seam.start() if seam else first + _LONGEST
        yield text[first:end]
        first = end
    yield text[first:]


def last_seam(text: str) -> int:
    """The last place across which the tokenizer joins nothing, whatever text follows; 0 if none."""
    return max((seam.start() for seam in _SEAM.finditer(text)), default=0)


def _probe(mode: Mode, text: str) -> tuple[Message, ...]:
    user = Message("user", text)
    return (user,) if mode == "prompt" else (user, Message("assistant", text))
