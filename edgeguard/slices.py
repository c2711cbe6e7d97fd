"""The messages of a question by their tokens: how many each has, and where it can be cut.

A question is tokenized once. From its ids follow the length of each message and the bytes at which
its tokens end, so nothing is tokenized again to find a size. This module does not choose sizes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from edgeguard.errors import ModelError
from edgeguard.protocol.messages import Message, Role
from edgeguard.protocol.question import IM_END, contents, question
from edgeguard.session.interface import Session
from edgeguard.tokens import Question


@dataclass(frozen=True)
class CountedMessage:
    """A message with the byte offsets in its text at which its tokens begin and end.

    ``ends`` begins with 0 and ends with the text's size in bytes.
    """

    role: Role
    data: bytes
    ends: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many tokens it has."""
        return len(self.ends) - 1

    def slices(self, size: int) -> Iterator[tuple[Message, int]]:
        """Slices of at most ``size`` tokens with their counts; each overlaps the next by an eighth.

        Cuts fall between characters, never inside one; together the slices cover the whole text.
        """
        step = size if self.count <= size else size - size // 8
        for first in range(0, max(self.count, 1), step):
            last = min(first + size, self.count)
            text = self.data[self._character(first) : self._character(last)].decode()
            yield Message(self.role, text), last - first
            if last == self.count:
                return

    def _character(self, token: int) -> int:
        """The first byte of the character in which a token begins, in UTF-8."""
        place = self.ends[token]
        while place < len(self.data) and self.data[place] & 0xC0 == 0x80:
            place -= 1
        return place


@dataclass(frozen=True)
class Counted:
    """The messages of one question; ``before`` counts the tokens ahead of the last message's text.

    It counts those of the conversation, with its labels but without the question's fixed text.
    """

    messages: tuple[CountedMessage, ...]
    before: int


def counted(session: Session, asked: Question, messages: tuple[Message, ...]) -> Counted:
    """Find the messages, in NFC, in the ids of their whole question.

    Raises ModelError for a tokenizer whose tokens do not give the text back.
    """
    text = str(question(messages)[1])
    last = asked.tokens.index(session.control_token(IM_END.text) or 0)
    tokens = asked.tokens[1:last]
    sizes = {token: len(session.token_bytes(token)) for token in set(tokens)}
    ends = [0, *accumulate(sizes[token] for token in tokens)]
    if ends[-1] != len(text.encode()):
        raise ModelError("the model's tokenizer does not give a text back")
    starts = list(_starts(text, messages))
    found = tuple(_counted(message, start, ends) for message, start in zip(messages, starts))
    return Counted(found, bisect_left(ends, starts[-1]) - bisect_left(ends, starts[0]))


def _starts(text: str, messages: tuple[Message, ...]) -> Iterator[int]:
    """The byte offset at which the content of each message begins."""
    place = at = 0
    for begin, _ in contents(messages):
        at += len(text[place:begin].encode())
        place = begin
        yield at


def _counted(message: Message, start: int, ends: list[int]) -> CountedMessage:
    data = message.content.encode()
    if not data:
        return CountedMessage(message.role, data, (0,))
    inside = ends[bisect_right(ends, start) : bisect_left(ends, start + len(data))]
    places = (0, *(end - start for end in inside), len(data))
    return CountedMessage(message.role, data, places)
