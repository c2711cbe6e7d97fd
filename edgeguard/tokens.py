"""From a conversation to the token ids of its question.

Text and control tokens are put together by id: the text of a message goes through the tokenizer as
plain text, whatever it spells, and only the protocol's own framing becomes control tokens. The text
is brought to Unicode NFC first, as the reference tokenizer does and llama.cpp does not.

This module does not cut a question that is too long (edgeguard.windows does).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from edgeguard.errors import ModelError
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import MODES, Mode
from edgeguard.protocol.question import Control, Piece, question
from edgeguard.session.interface import Session


@dataclass(frozen=True)
class Question:
    """The token ids of a question.

    The first ``fixed`` are the same for every one of its mode; the first ``conversation`` are the
    same when messages are added. ``grows``: it has several messages, and may go on from another.
    """

    mode: Mode
    tokens: tuple[int, ...]
    fixed: int
    conversation: int
    grows: bool


class QuestionTokenizer:
    """Writes questions for one session's vocabulary."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fixed = {mode: self._shared(mode) for mode in MODES}

    def question(self, messages: tuple[Message, ...]) -> Question:
        """The question for a conversation of any length."""
        mode, tokens = mode_of(messages), self._tokens(messages)
        start, tail = self._fixed[mode]
        fixed = len(start) if tokens[: len(start)] == start else 0
        end = len(tokens) - len(tail)
        conversation = end if fixed < end and tokens[end:] == tail else fixed
        return Question(mode, tokens, fixed, conversation, grows=len(messages) > 1)

    def _tokens(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        return tuple(token for piece in question(messages) for token in self._piece(piece))

    def _piece(self, piece: Piece) -> list[int]:
        if isinstance(piece, Control):
            token = self._session.control_token(piece.text)
            if token is None:
                raise ModelError(f"the model's vocabulary has no token {piece.text}")
            return [token]
        return self._session.tokenize(unicodedata.normalize("NFC", piece))

    def _shared(self, mode: Mode) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that conversations with nothing in common begin and end with."""
        # The tokenizer joins a mark at a text's end with the blank line after it, so the second
        # probe ends with one: what is left as shared begins after that line.
        first, second = (self._tokens(_probe(mode, text)) for text in ("a", "\n1?"))
        start, end = 0, 1
        while first[start] == second[start]:
            start += 1
        while first[-end] == second[-end]:
            end += 1
        return first[:start], first[len(first) - end + 1 :]


def _probe(mode: Mode, text: str) -> tuple[Message, ...]:
    user = Message("user", text)
    return (user,) if mode == "prompt" else (user, Message("assistant", text))
