"""What a question is made of: messages of three roles; the last one decides the mode.

edgeguard.conversation turns the public forms of messages into these. This module does not write the
question text and does not count tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgeguard.errors import InputError
from edgeguard.protocol.names import Mode
from edgeguard.protocol.visible import has_visible

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Message:
    """One message of a conversation: who speaks, and the text."""

    role: Role
    content: str


def check_visible(text: str) -> None:
    """Raise InputError for a text without any visible character."""
    if not has_visible(text):
        why = "it has no visible character" if text.strip() else "the text is empty"
        raise InputError(f"there is nothing to judge: {why}")


def mode_of(messages: tuple[Message, ...]) -> Mode:
    """The mode by the last message: prompt if it is the user's, response if the assistant's."""
    return "response" if messages[-1].role == "assistant" else "prompt"


def check_text(what: str, text: object) -> None:
    """Raise InputError unless it is a string of valid Unicode; ``what`` names it in the error."""
    if not isinstance(text, str):
        raise InputError(f"{what} is {type(text).__name__}, not a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise InputError(
            f"{what} is not valid Unicode: lone surrogate U+{code:04X} at character "
            f"{error.start}; repair the text where it was cut, then check it again"
        ) from error
