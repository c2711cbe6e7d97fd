"""A conversation that can be judged: the messages as the question shows them, and what is left out.

This module reads no message, writes no question and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edgeguard.conversation.turn import Speaker, named
from edgeguard.errors import InputError
from edgeguard.protocol.messages import Message
from edgeguard.protocol.visible import has_visible

Judged = Literal["each", "exchange", "last"]
JUDGED: tuple[Judged, ...] = get_args(Judged)


@dataclass(frozen=True)
class Note:
    """Something that is not judged in the message at an index, such as ``an image``."""

    place: int
    what: str

    def __str__(self) -> str:
        return f"{named(self.place)}: {self.what}"


@dataclass(frozen=True)
class Conversation:
    """The messages of a question; the last one is judged.

    ``places`` has the index of each message in the list that was given, or -1 if it was not in the
    list; ``speakers`` says who wrote it, which a role cannot always tell.
    """

    messages: tuple[Message, ...]
    places: tuple[int, ...]
    speakers: tuple[Speaker, ...]
    notes: tuple[Note, ...] = ()

    @property
    def not_judged(self) -> tuple[str, ...]:
        """What is neither judged nor shown, in words: ``message 2: an image``."""
        return tuple(map(str, self.notes))

    @property
    def place(self) -> int:
        """The index of the judged message in the list that was given."""
        return self.places[-1]

    def judged(self, judge: Judged) -> list[Conversation]:
        """The conversations to ask about, each ending with a message to be judged.

        ``each``: every message of the user, the assistant and tools. ``exchange``: those from the
        user's last message on. ``last``: the last one. Raises InputError for another word.
        """
        if judge not in JUDGED:
            raise InputError(f"judge is {judge!r}; there are: {', '.join(JUDGED)}")
        if judge == "last":
            return [self]
        first = 0 if judge == "each" else self._last_of_user()
        return [self._until(number) for number in self._judgeable() if number >= first]

    def answered(self, text: str) -> Conversation:
        """The conversation followed by a response of the assistant, which is then judged."""
        return replace(
            self,
            messages=(*self.messages, Message("assistant", text)),
            places=(*self.places, max(self.places) + 1),
            speakers=(*self.speakers, "assistant"),
        )

    def _judgeable(self) -> Iterator[int]:
        for number, (message, speaker) in enumerate(zip(self.messages, self.speakers)):
            if speaker != "system" and has_visible(message.content):
                yield number

    def _last_of_user(self) -> int:
        spoken = [n for n in self._judgeable() if self.speakers[n] == "user"]
        return spoken[-1] if spoken else len(self.messages) - 1

    def _until(self, number: int) -> Conversation:
        """The conversation up to and including a message."""
        end, place = number + 1, self.places[number]
        notes = tuple(note for note in self.notes if note.place <= place)
        return Conversation(self.messages[:end], self.places[:end], self.speakers[:end], notes)


UNKNOWN = Conversation((Message("user", ""),), (-1,), ("user",))
"""Stands for an unknown prompt of a response. It can only be answered, not judged."""
