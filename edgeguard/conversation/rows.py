"""A row of a table or a file, and the conversation in it.

A field is given by its name, or by a path with dots through objects and lists, such as
``body.messages`` or ``choices.0.message``; ``.`` is the row itself. This module reads no file and
judges nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeguard.conversation.chatml import is_chatml
from edgeguard.conversation.containers import LISTS, SYSTEMS
from edgeguard.conversation.reader import PLAIN, Reading
from edgeguard.conversation.row_lists import is_missing
from edgeguard.conversation.value import Conversation
from edgeguard.errors import InputError
from edgeguard.protocol.messages import Message
from edgeguard.protocol.visible import has_visible
from edgeguard.strict_json import parse_json

CheckMessages = Iterable[Message | Mapping[str, object]] | Mapping[str, object] | Conversation
"""The argument of ``check_messages``; see docs/conversations.md."""
CheckRow = str | CheckMessages

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),  # before int: a bool is one
    ((int, float), "a number"),
    (list, "a list"),
    (dict, "an object"),
)
TEXT, RESPONSE, VERDICT = "text", "response", "verdict"
OPTION = "--{}-field "
"""How an option that names a field is typed on the command line, up to its value."""
ROW = "."
"""The field that is the row itself."""
FIELDS: dict[str, str] = {
    "openai": "messages",
    "langchain": "messages",
    "sharegpt": "conversations",
    "chatml": TEXT,
    **dict.fromkeys(("anthropic", "responses", "chatgpt"), ROW),
}
"""The field that holds the conversation in each form, by default."""
_TREE = "mapping"
REQUESTS = ("body", "params")
"""The field with the request in files for OpenAI's and Anthropic's batch interfaces."""
_GUESSED = ("messages", "conversations", "conversation")
"""Names in LISTS that always mean a conversation in a table, unlike ``input``."""
_OF_ROW = (*LISTS, *SYSTEMS, _TREE, "current_node", "lc", "kwargs")


@dataclass(frozen=True)
class Names:
    """The names of the fields that are read, and of the one that is written.

    ``response`` None: the field ``response``, in rows that have it. With ``messages``, the
    conversation in that field is judged and the other two are not read. ``guess``: the user named
    no field, so if a file has no ``text``, the field with conversations is searched for.
    """

    text: str = TEXT
    response: str | None = None
    messages: str | None = None
    verdict: str = VERDICT
    guess: bool = False

    @classmethod
    def given(
        cls,
        text: str | None,
        response: str | None,
        messages: str | None,
        form: str,
        verdict: str,
        spelled: str = OPTION,
    ) -> Names:
        """The names as a person gives them, None where nothing is said; ``form`` is the messages'.

        ``spelled`` is how an option is typed. Raises InputError where they contradict each other.
        """
        option = spelled.format("messages").strip()
        if messages is not None and (text is not None or response is not None):
            raise InputError(f"{option} holds the whole conversation: name no other field")
        if not verdict or "" in (text, response, messages):
            raise InputError("a field's name cannot be empty")
        if form != "auto" and form not in FIELDS:
            raise InputError(
                f"there is no form of messages {form!r}; there are: {', '.join(FIELDS)}"
            )
        if form != "auto" and messages is None:
            if response is not None or (text is not None and form != "chatml"):
                raise InputError(f"the form {form} is one of conversations: see {option}")
            messages, text = text or FIELDS[form], None
        guess = text is None and response is None and messages is None
        return cls(text or TEXT, response, messages, verdict, guess)

    @property
    def error(self) -> str:
        """The field for the reason why a row has no verdict."""
        return f"{self.verdict}_error"

    @property
    def row(self) -> str:
        """The field of JSONL that keeps a line that could not be read."""
        return f"{self.verdict}_row"

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields that every row must have."""
        if self.messages is not None:
            return (self.messages,)
        return (self.text,) if self.response is None else (self.text, self.response)

    @property
    def read(self) -> tuple[str, ...]:
        """The fields that are read if a row has them."""
        if self.messages is not None:
            return (self.messages,)
        return (self.text, self.response or RESPONSE)

    @property
    def texts(self) -> tuple[str, ...]:
        """Those of the fields that must be texts."""
        return () if self.messages is not None else self.read

    @property
    def added(self) -> tuple[str, str]:
        """The fields that are added, which a row must not have yet."""
        return self.verdict, self.error

    def in_fields(self, fields: Iterable[str]) -> Names:
        """These names, with the field that ``guess`` leaves open filled in if it can be found.

        ``fields`` are the names of a file's fields. If a system text or a tree stands beside the
        messages, the conversation is the whole row.
        """
        there = set(fields)
        if not self.guess or self.text in there:
            return replace(self, guess=False)
        found = [name for name in _GUESSED if name in there]
        whole = _TREE in there or any(name in there for name in SYSTEMS)
        if "custom_id" in there:  # a request in a file for a batch interface
            found = [name for name in REQUESTS if name in there]
        if len(found) != 1 and _TREE not in there:
            return replace(self, guess=False)
        return replace(self, messages=ROW if whole else found[0], guess=False)


def has_field(fields: Iterable[str], name: str) -> bool:
    """Whether a file with these fields can have a field of that name or path."""
    there = set(fields)
    return name == ROW or name in there or name.split(".")[0] in there


def columns_of(names: Iterable[str], fields: Iterable[str]) -> list[str]:
    """Which of a file's fields must be read for those names and paths."""
    there = list(fields)
    wanted = set(names)
    wanted |= set(_OF_ROW) if ROW in wanted else set()
    heads = {name if name in there else name.split(".")[0] for name in wanted}
    return [name for name in there if name in heads]


def field_of(fields: Mapping[str, object], name: str) -> object:
    """The value of a field, by its name or path. Raises InputError if there is none."""
    if name == ROW:
        return fields
    if name in fields:
        return fields[name]
    value: Any = fields
    for step in name.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise InputError(f"the field {name!r} is missing")
    return value


def conversation_of(
    fields: Mapping[str, object], names: Names, reading: Reading = PLAIN
) -> Conversation:
    """The conversation in a row. Raises InputError if there is nothing to judge."""
    names = names.in_fields(fields) if names.guess else names
    if names.messages is not None:
        value = field_of(fields, names.messages)
        if reading.form == "chatml" and isinstance(value, str):
            return reading(value)
        return reading(_messages(value, names.messages))
    text = field_of(fields, names.text)
    for name in names.needed:
        field_of(fields, name)
    prompt = _string(text, names.text)
    name = names.response or RESPONSE
    given = field_of(fields, name) if names.response or name in fields else None
    plain = replace(reading, strict=False, form="auto")
    user = {"role": "user", "content": prompt}
    if given is None:
        _check_not_empty(prompt, names.text)
        return plain([user])
    response = _string(given, name)
    _check_not_empty(response, name)
    return plain([user, {"role": "assistant", "content": response}])


def conversation_in(row: Any, reading: Reading = PLAIN) -> Conversation:
    """The conversation in a row of a list: a text, a mapping, or messages. Raises InputError."""
    if isinstance(row, str):
        return reading([Message("user", row)])
    if hasattr(row, "_asdict"):  # a named tuple
        row = {name: value for name, value in row._asdict().items() if not is_missing(value)}
    if isinstance(row, Mapping):
        return conversation_of(row, Names(guess=True).in_fields(map(str, row)), reading)
    if isinstance(row, (bytes, bytearray)) or not isinstance(row, (Iterable, Conversation)):
        raise InputError(f"a row is {type(row).__name__}: give a text, a mapping or messages")
    return reading(row)


def key_of(conversation: Conversation) -> bytes:
    """The sha256 by which a repeated conversation is recognised.

    It also covers whatever else its verdict depends on.
    """
    plain = [[message.role, message.content] for message in conversation.messages]
    said = json.dumps([plain, conversation.place, conversation.not_judged])
    return hashlib.sha256(said.encode("ascii")).digest()


def _messages(value: object, name: str) -> object:
    """A list of messages or an object with one, or one as JSON or ChatML in a text."""
    if isinstance(value, str) and not is_chatml(value):
        value = parse_json(value, f"the text in the field {name!r}")
        value = None if isinstance(value, str) else value
    if not isinstance(value, (list, dict, str)):
        raise InputError(f"the field {name!r} is not a list of messages")
    return value


def _string(value: object, name: str) -> str:
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
    # As in `edgeguard check`: an empty text nearly always comes from an earlier mistake.
    if not has_visible(text):
        why = "has no visible character" if text.strip() else "is empty"
        raise InputError(f"the field {name!r} {why}: there is nothing to judge")
