"""A conversation that does not fit one context, as overlapping windows that lose nothing.

Each window is a conversation of its own with the same last role, so each is asked about by the
official question. The last message is cut into overlapping slices. Where the messages before it do
not fit beside a slice, they are cut into overlapping slices too, and every slice of the last
message is judged after every slice of what came before. The worst window counts.

A cut text is not what the model was trained on (QwenLM/Qwen3Guard, issue 17), so nothing is cut
that fits. This module does not judge.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, product

from edgeguard.errors import InputTooLongError, ModelError
from edgeguard.protocol.messages import Message
from edgeguard.session.interface import Session
from edgeguard.tokens import Question, QuestionTokenizer

MAX_WINDOWS = 64
"""More than this is an error: a verdict that takes hours helps nobody."""

_LABEL = 8  # tokens that a message's label and blank lines take, and a few to spare


class Windows:
    """Writes the questions of a conversation: one if it fits."""

    def __init__(self, session: Session, tokenizer: QuestionTokenizer, room: int) -> None:
        """``room`` is how many tokens an answer may take."""
        self._session = session
        self._tokenizer = tokenizer
        self._limit = session.n_ctx - room

    def questions(self, messages: tuple[Message, ...]) -> list[Question]:
        """The questions to ask, in the order of the text. Raises InputTooLongError."""
        whole = self._tokenizer.question(messages)
        if len(whole.tokens) <= self._limit:
            return [whole]
        spare = 0
        while True:
            windows = self._cut(messages, spare)
            excess = max(len(window.tokens) for window in windows) - self._limit
            if excess <= 0:
                return windows
            spare += 2 * excess  # it was cut where its parts have many more tokens than the whole

    def _cut(self, messages: tuple[Message, ...], spare: int) -> list[Question]:
        """Windows that fit, unless joining the slices takes more tokens than is left for it."""
        before, last = messages[:-1], messages[-1]
        history_size, last_size = self._sizes(before, last, spare)
        histories = [before] if history_size is None else list(self._groups(before, history_size))
        slices = list(self._slices(last, last_size))
        self._check_number(len(histories) * len(slices))
        return [
            self._tokenizer.question((*history, part))
            for history, part in product(histories, slices)
        ]

    def _sizes(
        self, before: tuple[Message, ...], last: Message, spare: int
    ) -> tuple[int | None, int]:
        """How many tokens a slice may have: of what came before (None: it fits), of the last."""
        empty = Message(last.role, "")
        bare = (empty,) if last.role == "user" else (Message("user", ""), empty)
        free = self._limit - self._length(bare)
        # Slices are cut by the tokens of the message alone; cut inside a word and joined to its
        # neighbours, a slice can take a few more.
        free -= free // 16 + 2 * _LABEL + spare
        if free < 8 * _LABEL:
            raise InputTooLongError(
                f"a context of {self._session.n_ctx} tokens is too small for the question itself; "
                "choose a larger n_ctx"
            )
        history = self._length((*before, empty)) - self._length(bare) if before else 0
        half = free // 2
        if history <= half:
            return None, free - history
        length = len(self._session.tokenize(unicodedata.normalize("NFC", last.content)))
        return (free - length, length) if length <= half else (half, half)

    def _slices(self, message: Message, size: int) -> Iterator[Message]:
        for text in cut(self._session, message.content, size):
            yield Message(message.role, text)

    def _groups(self, messages: tuple[Message, ...], size: int) -> Iterator[tuple[Message, ...]]:
        """The messages in groups of at most ``size`` tokens; the long ones in slices."""
        group: list[Message] = []
        used = 0
        for message in messages:
            for part in self._slices(message, size - 2 * _LABEL):
                cost = len(self._session.tokenize(part.content)) + _LABEL
                if group and used + cost > size:
                    yield tuple(group)
                    group, used = [], 0
                if not group and part.role == "assistant":
                    group.append(Message("user", ""))  # a conversation cannot start with it
                group.append(part)
                used += cost
        yield tuple(group)

    def _check_number(self, number: int) -> None:
        if number > MAX_WINDOWS:
            raise InputTooLongError(
                f"the text needs {number} windows of {self._session.n_ctx} tokens, and at most "
                f"{MAX_WINDOWS} are judged: split it and check the parts, or choose a larger n_ctx"
            )

    def _length(self, messages: tuple[Message, ...]) -> int:
        return len(self._tokenizer.question(messages).tokens)


def cut(session: Session, text: str, size: int) -> Iterator[str]:
    """Slices of at most ``size`` tokens, each overlapping the next by an eighth.

    Cuts fall between characters, never inside one; the slices together hold the whole text.
    """
    text = unicodedata.normalize("NFC", text)
    tokens = session.tokenize(text)
    if len(tokens) <= size:
        yield text
        return
    ends = list(accumulate(len(session.token_bytes(token)) for token in tokens))
    # Byte offsets of the characters, to move a cut that falls inside one back to its start.
    starts = [0, *accumulate(len(character.encode()) for character in text)]
    if ends[-1] != starts[-1]:
        raise ModelError("the model's tokenizer does not give a text back")
    first, step = 0, size - size // 8
    while True:
        begin = _character(starts, ends[first - 1] if first else 0)
        if first + size >= len(tokens):
            yield text[begin:]
            return
        yield text[begin : _character(starts, ends[first + size - 1])]
        first += step


def _character(starts: list[int], offset: int) -> int:
    """The character that holds the byte at an offset."""
    place = bisect_left(starts, offset)
    return place if starts[place] == offset else place - 1
