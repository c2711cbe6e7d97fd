"""Finds the messages of a conversation in a list, an object or a text.

Objects are requests and rows of public data sets; the list is found by its name, as is a system
text beside it. This module reads no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from edgeguard.conversation import chatgpt, chatml
from edgeguard.conversation.content import listed
from edgeguard.conversation.forms import AUTO, FORMS, Form
from edgeguard.errors import InputError

LISTS = ("messages", "conversations", "conversation", "contents", "input")
"""The names of the list: OpenAI and Anthropic, ShareGPT, WildChat and LMSYS, Gemini, Responses."""
SYSTEMS = ("system", "instructions", "system_instruction", "systemInstruction")
"""The names of the system text beside it."""
_LIST = "messages must be a list of {'role': ..., 'content': ...} objects"


@dataclass(frozen=True)
class Contained:
    """The messages as they came, the system text beside them, and the form if it is known."""

    messages: list[object]
    system: object = None
    form: Form | None = None


def contents_of(value: object, form: str = AUTO) -> Contained:
    """The messages in a value. Raises InputError if it is not a conversation in that form."""
    if form != AUTO and form not in FORMS:
        raise InputError(f"no form of messages is named {form!r}; there are: {', '.join(FORMS)}")
    known: Form | None = next((one for one in FORMS if one == form), None)
    if isinstance(value, str) and (
        known == "chatml" or (known is None and chatml.is_chatml(value))
    ):
        return Contained(chatml.messages_of(value), form="chatml")
    if known == "chatml":
        raise InputError("ChatML is a text, and this is none: leave out --messages-format chatml")
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return _in_object(value, known)
    if isinstance(value, (str, bytes, bytearray, Set)) or not isinstance(value, Iterable):
        raise InputError(_LIST)
    if known == "chatgpt":
        raise InputError("ChatGPT's export has an object for each conversation, and this is none")
    return Contained(list(value), form=known)


def _in_object(value: Mapping[object, object], form: Form | None) -> Contained:
    if isinstance(value.get("kwargs"), Mapping) and value.get("lc") is not None:
        value = value["kwargs"]  # type: ignore[assignment]  # LangChain's ChatPromptValue
    mapping = value.get("mapping")
    if isinstance(mapping, Mapping) and form in (None, "chatgpt"):
        return Contained(chatgpt.branch(mapping, value.get("current_node")), form="chatgpt")
    if form == "chatgpt":
        raise InputError("ChatGPT's export has a 'mapping' in each conversation, and this has none")
    names = [name for name in LISTS if value.get(name) is not None]
    if not names:
        raise InputError(f"{_LIST}, or an object with such a list in it: {', '.join(LISTS)}")
    if len(names) > 1:
        raise InputError(f"there are {' and '.join(names)}: say which one is the conversation")
    messages, systems = value[names[0]], [n for n in SYSTEMS if value.get(n) is not None]
    if len(systems) > 1:
        raise InputError(f"there are {' and '.join(systems)}, and only one system text can be")
    if isinstance(messages, str) and names[0] == "input":
        messages = [{"role": "user", "content": messages}]
    elif isinstance(messages, str):
        inner = contents_of(messages, form or AUTO)
        messages, form = inner.messages, inner.form
    found = listed(messages)
    if found is None:
        raise InputError(_LIST)
    return Contained(found, value[systems[0]] if systems else None, form)
