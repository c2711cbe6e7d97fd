"""One message as it came, whatever its form: who speaks, and its content.

This module does not know the forms, and does not decide what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgeguard.errors import InputError

Speaker = Literal["system", "user", "assistant", "tool"]
"""Who speaks; a tool stands for everything from outside: results of calls, pages, files."""

SPEAKERS: dict[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "tool": "tool",
    "function": "tool",
    "ipython": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
"""The words for a role in the public forms, in lower case with underscores."""


@dataclass(frozen=True)
class Content:
    """The content of a message, in order within each kind.

    ``calls`` are tool calls, as text; ``media`` names what cannot be read, such as "an image";
    ``thinks``: there is reasoning that was not shown to the reader of the answer.
    """

    texts: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    thinks: bool = False

    def __add__(self, other: Content) -> Content:
        """Both contents, one after the other."""
        return Content(
            self.texts + other.texts,
            self.calls + other.calls,
            self.media + other.media,
            self.thinks or other.thinks,
        )

    def once(self) -> Content:
        """The same with each call once: some forms write a call in two places."""
        return replace(self, calls=tuple(dict.fromkeys(self.calls)))

    @property
    def is_nothing(self) -> bool:
        """Whether there is no content at all, not even an empty text."""
        return self == Content()


@dataclass(frozen=True)
class Turn:
    """A message. ``word`` is its role as the form writes it; ``place`` its index in the list.

    A message that is not in a list, such as a system text beside one, has the place -1.
    """

    place: int
    speaker: Speaker
    word: str
    content: Content

    @property
    def name(self) -> str:
        """The message in words, with its number from 1."""
        return named(self.place)


def named(place: int) -> str:
    """The message at an index, in words."""
    return f"message {place + 1}" if place >= 0 else "the system text"


def speaker_of(word: object) -> Speaker:
    """The speaker named by a role. Raises InputError, without the name of the message."""
    # Not quoted: errors end up in logs, and a client that mixes up its fields would send the text
    # here.
    if word is None:
        raise InputError(f"has no role; known roles: {_KNOWN}")
    speaker = SPEAKERS.get(word.lower().replace("-", "_")) if isinstance(word, str) else None
    if speaker is None:
        raise InputError(f"has an unknown role; known roles: {_KNOWN}")
    return speaker


_KNOWN = "system, developer, user, assistant, tool, function, and those of docs/conversations.md"
