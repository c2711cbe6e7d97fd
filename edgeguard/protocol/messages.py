"""A conversation: its messages, its mode, and what makes one impossible to judge.

This module does not write the question text and does not count tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Literal, cast, get_args

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


def parse_messages(messages: Iterable[Message | Mapping[str, object]]) -> tuple[Message, ...]:
    """Check a conversation given as dictionaries with ``role`` and ``content``.

    Raises InputError for whatever the protocol has no place for: no message, an unknown role, a
    content that is not valid Unicode text, a conversation that starts with the assistant, or a
    system message anywhere but first. A conversation must end with the user or the assistant, and
    with a text that has something to judge.
    """
    if isinstance(messages, (str, bytes, Mapping, Set)) or not isinstance(messages, Iterable):
        raise InputError("messages must be a list of {'role': ..., 'content': ...} objects")
    parsed = tuple(_parse(number, message) for number, message in enumerate(messages, 1))
    if not parsed:
        raise InputError("there is no message to judge: the conversation is empty")
    if parsed[0].role == "assistant":
        raise InputError("message 1 is the assistant's: a conversation starts with system or user")
    for number, message in enumerate(parsed[1:], 2):
        if message.role == "system":
            raise InputError(f"message {number} is a system message: only the first one can be")
    if parsed[-1].role == "system":
        raise InputError("the last message is a system message: there is nothing to judge")
    check_visible(parsed[-1].content)
    return parsed


def check_visible(text: str) -> None:
    """Raise InputError for a text in which a person would see nothing."""
    if not has_visible(text):
        why = "it has no visible character" if text.strip() else "the text is empty"
        raise InputError(f"there is nothing to judge: {why}")


def mode_of(messages: tuple[Message, ...]) -> Mode:
    """The last message decides: the user's is judged as a prompt, the assistant's as a response."""
    return "response" if messages[-1].role == "assistant" else "prompt"


def _parse(number: int, message: Message | Mapping[str, object]) -> Message:
    if isinstance(message, Message):
        role, content = cast(object, message.role), cast(object, message.content)
    elif isinstance(message, Mapping):
        role, content = message.get("role"), message.get("content")
    else:
        raise InputError(f"message {number} is not an object with 'role' and 'content'")
    if role not in ROLES:
        # Not quoted: errors end up in logs, and a client that mixes up its fields sends the text.
        said = "no role" if role is None else "an unknown role"
        raise InputError(f"message {number} has {said}; known roles: {', '.join(ROLES)}")
    if not isinstance(content, str):
        kind = type(content).__name__
        raise InputError(f"message {number} has no text: 'content' is {kind}, not a string")
    check_text(f"message {number}", content)
    return Message(role, content)


def check_text(what: str, text: object) -> None:
    """Raise InputError for anything but a string of Unicode text; ``what`` names it."""
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
