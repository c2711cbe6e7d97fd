"""Splits a conversation that does not fit one context into overlapping windows; nothing is lost.

Each window is a conversation of its own with the same last role, so each is asked about with the
official question. The last message is cut into overlapping slices. If the messages before it do not
fit beside a slice, they are cut into overlapping slices too, and every slice of the last message is
judged after every slice of them. The worst window counts.

The model was not trained on texts that were cut (QwenLM/Qwen3Guard, issue 17), so nothing that fits
is cut. This module does not judge.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import product

from edgeguard.errors import InputTooLongError
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import MODES, Mode
from edgeguard.session.interface import Session
from edgeguard.slices import Counted, CountedMessage, counted
from edgeguard.tokens import Question, QuestionTokenizer

MAX_WINDOWS = 64
"""More than this is an error: a verdict that takes hours helps nobody."""

_EMPTY: dict[Mode, tuple[Message, ...]] = {
    "prompt": (Message("user", ""),),
    "response": (Message("user", ""), Message("assistant", "")),
}
_LABEL = 8  # tokens for a message's label and blank lines, and a few to spare


class Windows:
    """Writes the questions of a conversation: one, if it fits."""

    def __init__(self, session: Session, tokenizer: QuestionTokenizer, room: int) -> None:
        """``room`` is the number of tokens to reserve for an answer."""
        self._session = session
        self._tokenizer = tokenizer
        self._limit = session.n_ctx - room
        self._bare = {mode: len(tokenizer.question(_EMPTY[mode]).tokens) for mode in MODES}

    @property
    def prefixes(self) -> tuple[tuple[int, ...], ...]:
        """The ids that the questions of each mode begin with."""
        return self._tokenizer.prefixes

    def questions(self, messages: tuple[Message, ...]) -> list[Question]:
        """The questions to ask, in the order of the text. Raises InputTooLongError."""
        most = MAX_WINDOWS * self._limit
        messages = tuple(_normalised(message) for message in messages)
        whole = self._tokenizer.question(messages, most)
        if len(whole.tokens) <= self._limit:
            return [whole]
        if len(whole.tokens) > most:
            raise self._too_many(f"more than {MAX_WINDOWS}")
        parts, spare = counted(self._session, whole, messages), 0
        while True:
            windows = self._cut(parts, spare)
            excess = max(len(window.tokens) for window in windows) - self._limit
            if excess <= 0:
                return windows
            spare += 2 * excess  # the cut parts have many more tokens than the whole

    def _cut(self, parts: Counted, spare: int) -> list[Question]:
        """The windows; they fit unless joining the slices takes more than the ``spare`` tokens."""
        before, last = parts.messages[:-1], parts.messages[-1]
        history_size, last_size = self._sizes(parts, spare)
        if history_size is None:
            histories = [tuple(part for message in before for part in _whole(message))]
        else:
            histories = list(_groups(before, history_size))
        slices = [part for part, _ in last.slices(last_size)]
        number = len(histories) * len(slices)
        if number > MAX_WINDOWS:
            raise self._too_many(str(number))
        return [
            self._tokenizer.question((*history, part))
            for history, part in product(histories, slices)
        ]

    def _sizes(self, parts: Counted, spare: int) -> tuple[int | None, int]:
        """The most tokens of a slice: of the earlier messages (None: they fit), and of the last."""
        last = parts.messages[-1]
        free = self._limit - self._bare[mode_of((Message(last.role, ""),))]
        # Slices are measured by the tokens of the message alone. Cut inside a word and joined to
        # its neighbours, a slice can have a few more.
        free -= free // 16 + 2 * _LABEL + spare
        if free < 8 * _LABEL:
            raise InputTooLongError(
                f"a context of {self._session.n_ctx} tokens is too small for the question itself; "
                "choose a larger n_ctx"
            )
        half = free // 2
        if parts.before <= half:
            return None, free - parts.before
        return (free - last.count, last.count) if last.count <= half else (half, half)

    def _too_many(self, number: str) -> InputTooLongError:
        return InputTooLongError(
            f"the text needs {number} windows of {self._session.n_ctx} tokens, and at most "
            f"{MAX_WINDOWS} are judged: split it and check the parts, or choose a larger n_ctx"
        )


def _groups(messages: tuple[CountedMessage, ...], size: int) -> Iterator[tuple[Message, ...]]:
    """The messages in groups of at most ``size`` tokens; the long ones in slices."""
    group: list[Message] = []
    used = 0
    for message in messages:
        for part, count in message.slices(size - 2 * _LABEL):
            cost = count + _LABEL
            if group and used + cost > size:
                yield tuple(group)
                group, used = [], 0
            if not group and part.role == "assistant":
                group.append(Message("user", ""))  # a conversation cannot start with it
            group.append(part)
            used += cost
    yield tuple(group)


def _whole(message: CountedMessage) -> Iterator[Message]:
    yield Message(message.role, message.data.decode())


def _normalised(message: Message) -> Message:
    return Message(message.role, unicodedata.normalize("NFC", message.content))
