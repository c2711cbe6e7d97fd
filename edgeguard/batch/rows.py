"""A row: where it stands in the input, its fields, and the conversation that they hold.

This module reads no file and judges nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgeguard.errors import InputError
from edgeguard.protocol.messages import Message
from edgeguard.protocol.visible import has_visible
from edgeguard.strict_json import parse_json

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),  # before int: a bool is one
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "an object"),
)
TEXT, RESPONSE, VERDICT = "text", "response", "verdict"


@dataclass(frozen=True)
class Place:
    """A place between two rows: ``offset`` in bytes (Parquet: in rows), ``line`` in lines."""

    offset: int = 0
    line: int = 0


START = Place()


@dataclass(frozen=True)
class Row:
    """A row of the input.

    ``number`` is the line on which it starts, from 1 (Parquet: the row's number). ``raw`` is the
    row as it was read, without its line end; ``fields`` are its values by name. What could not be
    read has a ``problem`` instead of fields, in words that quote nothing of it.
    """

    number: int
    after: Place
    raw: bytes = b""
    fields: Mapping[str, object] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Names:
    """The names of the fields that are read, and of the one that is written.

    ``response`` None: the field ``response`` of the rows that have it. With ``messages``, the
    conversation of that field is judged and the other two are not read.
    """

    text: str = TEXT
    response: str | None = None
    messages: str | None = None
    verdict: str = VERDICT

    @property
    def error(self) -> str:
        """The field that says why a row has no verdict."""
        return f"{self.verdict}_error"

    @property
    def row(self) -> str:
        """The field of JSONL that keeps a line that is no row."""
        return f"{self.verdict}_row"

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields that rows must have."""
        if self.messages is not None:
            return (self.messages,)
        return (self.text,) if self.response is None else (self.text, self.response)

    @property
    def read(self) -> tuple[str, ...]:
        """The fields that are read, if they are there."""
        if self.messages is not None:
            return (self.messages,)
        return (self.text, self.response or RESPONSE)

    @property
    def added(self) -> tuple[str, str]:
        """The fields that must not be there yet."""
        return self.verdict, self.error


def conversation(fields: Mapping[str, object], names: Names) -> list[dict[str, object]]:
    """The messages that a row holds. Raises InputError where there is nothing to judge."""
    for name in names.needed:
        if name not in fields:
            raise InputError(f"the field {name!r} is missing")
    if names.messages is not None:
        return _messages(fields[names.messages], names.messages)
    prompt = _string(fields, names.text)
    name = names.response or RESPONSE
    if fields.get(name) is None:
        _check_not_empty(prompt, names.text)
        return [{"role": "user", "content": prompt}]
    response = _string(fields, name)
    _check_not_empty(response, name)
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def already(name: str) -> str:
    """What to say of a field that would have to be written a second time."""
    return f"the field {name!r} is there already; name another one with --verdict-field"


def nothing(where: str) -> InputError:
    """The error for an input without rows: nearly always something that broke before."""
    return InputError(f"{where} has no rows: there is nothing to judge")


def no_field(where: str, names: Names, there: Iterable[str]) -> InputError:
    """The error for an input that lacks a field altogether; ``there`` are those it has."""
    fields = list(there)
    name = next(name for name in names.needed if name not in fields)
    if name == names.text and names.response in fields:
        return InputError(
            f"{where} has no field {name!r} for the prompts of the responses in "
            f"{names.response!r}, by which the model judges them: name it with --text-field. "
            f"Responses without prompts can be judged as texts: --text-field {names.response}"
        )
    if name == names.messages:
        option = "--messages-field"
    else:
        option = "--text-field" if name == names.text else "--response-field"
    # What is too long for a name is not shown: a file without a header starts with texts.
    listed = ", ".join(field if _is_name(field) else "…" for field in fields[:20])
    listed += ", …" if len(fields) > 20 else ""
    return InputError(
        f"{where} has no field {name!r}; it has: {listed}; name the right one with {option}"
    )


def _is_name(field: str) -> bool:
    return len(field) <= 30 and len(field.split()) <= 3 and field.isprintable()


def key_of(messages: tuple[Message, ...]) -> bytes:
    """The sha256 by which a conversation is recognised when it comes again."""
    plain = json.dumps([[message.role, message.content] for message in messages])
    return hashlib.sha256(plain.encode("ascii")).digest()


def _messages(value: object, name: str) -> list[dict[str, object]]:
    """A list of messages, or one as JSON in a text."""
    if isinstance(value, str):
        value = parse_json(value, f"the text in the field {name!r}")
    if not isinstance(value, list):
        raise InputError(f"the field {name!r} is not a list of messages")
    return value


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if value is None:
        raise InputError(f"the field {name!r} is empty: there is nothing to judge")
    if not isinstance(value, str):
        raise InputError(f"the field {name!r} is {_kind(value)}, not a text")
    return value


def _kind(value: object) -> str:
    for kinds, words in _KINDS:
        if isinstance(value, kinds):
            return words
    return type(value).__name__


def _check_not_empty(text: str, name: str) -> None:
    # As in `edgeguard check`: an empty text is nearly always something that broke before.
    if not has_visible(text):
        why = "has no visible character" if text.strip() else "is empty"
        raise InputError(f"the field {name!r} {why}: there is nothing to judge")
