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
from collections.abc import Iterator
from itertools import accumulate, product

from edgeguard.errors import InputTooLongError, ModelError
from edgeguard.protocol.messages import Message
from edgeguard.session.interface import Session
from edgeguard.tokens import Question, QuestionTokenizer, ids_of

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
        most = MAX_WINDOWS * self._limit
        whole = self._tokenizer.question(messages, most)
        if len(whole.tokens) <= self._limit:
            return [whole]
        if len(whole.tokens) > most:
            raise self._too_many(f"more than {MAX_WINDOWS}")
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
        number = len(histories) * len(slices)
        if number > MAX_WINDOWS:
            raise self._too_many(str(number))
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
        length = self._count(last.content)
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
                cost = self._count(part.content) + _LABEL
                if group and used + cost > size:
                    yield tuple(group)
                    group, used = [], 0
                if not group and part.role == "assistant":
                    group.append(Message("user", ""))  # a conversation cannot start with it
                group.append(part)
                used += cost
        yield tuple(group)

    def _too_many(self, number: str) -> InputTooLongError:
        return InputTooLongError(
            f"the text needs {number} windows of {self._session.n_ctx} tokens, and at most "
            f"{MAX_WINDOWS} are judged: split it and check the parts, or choose a larger n_ctx"
        )

    def _count(self, text: str) -> int:
        """The tokens of a text alone."""
        return sum(1 for _ in ids_of(self._session, unicodedata.normalize("NFC", text)))

    def _length(self, messages: tuple[Message, ...]) -> int:
        return len(self._tokenizer.question(messages).tokens)


def cut(session: Session, text: str, size: int) -> Iterator[str]:
    """Slices of at most ``size`` tokens, each overlapping the next by an eighth.

    Cuts fall between characters, never inside one; the slices together hold the whole text.
    """
    text = unicodedata.normalize("NFC", text)
    tokens = list(ids_of(session, text))
    if len(tokens) <= size:
        yield text
        return
    data = text.encode()
    sizes = {token: len(session.token_bytes(token)) for token in set(tokens)}
    ends = [0, *accumulate(sizes[token] for token in tokens)]  # in bytes
    if ends[-1] != len(data):
        raise ModelError("the model's tokenizer does not give a text back")
    step = size - size // 8
    for first in range(0, len(tokens), step):
        last = min(first + size, len(tokens))
        yield data[_character(data, ends[first]) : _character(data, ends[last])].decode()
        if last == len(tokens):
            return


def _character(data: bytes, place: int) -> int:
    """The first byte of the character that has a byte at this place, in UTF-8."""
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place -= 1
    return place
