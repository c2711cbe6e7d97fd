"""The forms of one message: how each is recognised, and how it is read.

A form is recognised by its fields. A message that could have two forms is an error, because a wrong
guess would judge the wrong text. Fields that belong to no form, such as `name`, `id` and numbers,
are accepted and ignored. Errors are InputError without the name of the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from edgeguard.conversation.calls import call_text, item_call_text, raw_call_text, written
from edgeguard.conversation.content import IMAGE, content_of, joined, listed, transcribed
from edgeguard.conversation.turn import Content, Speaker, speaker_of
from edgeguard.errors import InputError
from edgeguard.protocol.messages import Message
from edgeguard.protocol.visible import has_visible

Form = Literal["openai", "responses", "anthropic", "sharegpt", "langchain", "chatgpt", "chatml"]
FORMS: tuple[Form, ...] = get_args(Form)
AUTO: Literal["auto"] = "auto"

Said = tuple[Speaker, str, Content]
"""The speaker, the form's word for the role, and the message's content."""

_LANGCHAIN = {"human", "ai", "system", "tool", "function", "chat", "developer"}
_SHAREGPT_CALLS = {"function_call", "tool_call"}
_NO_FORM = "is not an object with 'role' and 'content'"


def read_message(message: object, form: Form | None = None) -> Said:
    """The speaker and the content of a message in any form. Raises InputError."""
    if isinstance(message, Message):
        message = {"role": message.role, "content": message.content}
    if hasattr(message, "model_dump"):  # an object of OpenAI's, Anthropic's or LangChain's library
        message = message.model_dump()
    if not isinstance(message, Mapping):
        raise InputError(_NO_FORM)
    chosen = form if form in _READERS else _form_of(message)
    speaker, word, content = _READERS[chosen](message)
    return speaker, word, content.once()


def _form_of(message: Mapping[str, object]) -> Form:
    """The one form that a message has. Raises InputError if that is ambiguous."""
    found = [form for form, matches in _SIGNS.items() if matches(message)]
    if not found:
        _check_role(message)
        raise InputError(_NO_FORM)
    if len(found) > 1:
        raise InputError(f"has the fields of two forms, {' and '.join(found)}: say which is meant")
    return found[0]


def _check_role(message: Mapping[str, object]) -> None:
    if "content" in message or "role" in message:
        speaker_of(message.get("role"))


def _openai(message: Mapping[str, object]) -> Said:
    """OpenAI's chat, and other forms with its fields: Anthropic, Gemini, Ollama, vLLM."""
    word = message.get("role")
    speaker = speaker_of(word)
    content = content_of(message.get("content")) + _beside(message)
    if content.is_nothing:
        raise InputError(_nothing(message))
    return speaker, str(word), content


def _beside(message: Mapping[str, object]) -> Content:
    """The fields beside ``content`` that hold text."""
    found = [_parts(message)]
    if isinstance(refusal := message.get("refusal"), str):
        found.append(Content((refusal,)))
    if message.get("audio") is not None:
        found.append(transcribed(message["audio"]))
    if any(_is_thinking(message.get(name)) for name in ("reasoning_content", "reasoning")):
        found.append(Content(thinks=True))
    found.append(Content(media=(IMAGE,) * len(listed(message.get("images")) or ())))
    found.append(_calls(message))
    return joined(found)


def _is_thinking(value: object) -> bool:
    return has_visible(value) if isinstance(value, str) else bool(value)


def _parts(message: Mapping[str, object]) -> Content:
    """Gemini's ``parts``; left out if ``content`` says the same."""
    content = content_of(message.get("parts"))
    said = content_of(message.get("content")).texts if content.texts else ()
    return Content(
        tuple(text for text in content.texts if text not in said),
        content.calls,
        content.media,
        content.thinks,
    )


def _calls(message: Mapping[str, object]) -> Content:
    """The tool calls in a message, in the current and the older fields."""
    calls: list[object] = []
    for name in ("tool_calls", "invalid_tool_calls"):
        if (value := message.get(name)) is not None:
            found = listed(value)
            if found is None:
                raise InputError(f"has {name!r} that are no list")
            calls += found
    if message.get("function_call") is not None:
        calls.append(message["function_call"])
    return Content(calls=tuple(call_text(call) for call in calls))


def _nothing(message: Mapping[str, object]) -> str:
    if "content" not in message:
        return "has no text: there is no 'content'"
    kind = "null" if message["content"] is None else "an empty list"
    return f"has no text: 'content' is {kind}, not a string"


def _responses(item: Mapping[str, object]) -> Said:
    """An item of OpenAI's Responses without a role."""
    kind = str(item.get("type"))
    if kind == "reasoning":
        return "assistant", "assistant", Content(thinks=True)
    if kind.endswith("_call_output"):
        found = content_of(item.get("output"))
        return "tool", "tool", Content(("",)) if found.is_nothing else found
    if kind.endswith("_call"):
        return "assistant", "assistant", Content(calls=(item_call_text(item, kind),))
    raise InputError("is an item of a type that is not known")


def _sharegpt(message: Mapping[str, object]) -> Said:
    word = message.get("from")
    value = message.get("value")
    if not isinstance(value, str):
        raise InputError(f"has no text: 'value' is {type(value).__name__}, not a string")
    if isinstance(word, str) and word.lower().replace("-", "_") in _SHAREGPT_CALLS:
        return "assistant", word, Content(calls=(raw_call_text(value),))
    return speaker_of(word), str(word), Content((value,))


def _langchain(message: Mapping[str, object]) -> Said:
    """The three ways in which LangChain serialises a message."""
    kind, fields = message.get("type"), message
    if message.get("lc") is not None:
        names = listed(message.get("id")) or [None]
        kind, inner = names[-1], message.get("kwargs")
    else:
        inner = message.get("data", message)
    if not isinstance(inner, Mapping):
        raise InputError("is a LangChain message without its data")
    fields, word = inner, _langchain_word(kind)
    if word == "chat":
        word = fields.get("role")
    speaker = speaker_of(word)
    more = fields.get("additional_kwargs")
    content = content_of(fields.get("content")) + _beside(fields)
    if isinstance(more, Mapping) and not content.calls:
        content += _beside(more)
    if content.is_nothing:
        raise InputError(_nothing(fields))
    return speaker, str(word), content


def _langchain_word(kind: object) -> object:
    """The role in a class name: ``human`` of HumanMessage and of HumanMessageChunk."""
    if not isinstance(kind, str):
        return None
    return kind.lower().removesuffix("chunk").removesuffix("message")


def _chatgpt(message: Mapping[str, object]) -> Said:
    """A message of ChatGPT's own export: its author, and content with a type."""
    author, content = message.get("author"), message.get("content")
    word = author.get("role") if isinstance(author, Mapping) else None
    speaker = speaker_of(word)
    kind = content.get("content_type") if isinstance(content, Mapping) else None
    if kind in ("user_editable_context", "model_editable_context"):
        # custom instructions and memory, whichever author they are attributed to
        speaker = "system"
    read = _chatgpt_content(content, kind)
    to = message.get("recipient")
    if speaker == "assistant" and isinstance(to, str) and to != "all":
        text = "\n".join(read.texts)
        read = Content((), (*read.calls, written(to, text)), read.media, read.thinks)
    return speaker, str(word), read


_CHATGPT_TEXTS = (
    "text", "result", "user_profile", "user_instructions", "model_set_context", "title", "name",
)  # fmt: skip


def _chatgpt_content(content: object, kind: object) -> Content:
    if not isinstance(content, Mapping):
        return content_of(content)
    if kind in ("thoughts", "reasoning_recap"):
        return Content(thinks=True)
    texts = [text for name in _CHATGPT_TEXTS if isinstance(text := content.get(name), str)]
    found = Content(tuple(texts)) + content_of(content.get("parts"))
    if found.is_nothing and listed(content.get("parts")) is None and "text" not in content:
        return content_of(content)
    return found


def _is_langchain(message: Mapping[str, object]) -> bool:
    if message.get("lc") is not None:
        return True
    if message.get("role") is not None or _langchain_word(message.get("type")) not in _LANGCHAIN:
        return False
    return message.get("data") is not None or "content" in message


def _is_item(message: Mapping[str, object]) -> bool:
    kind = message.get("type")
    return message.get("role") is None and isinstance(kind, str) and not _is_langchain(message)


_SIGNS: dict[Form, Callable[[Mapping[str, object]], bool]] = {
    "openai": lambda message: message.get("role") is not None,
    "responses": _is_item,
    "sharegpt": lambda message: message.get("from") is not None,
    "langchain": _is_langchain,
    "chatgpt": lambda message: message.get("author") is not None,
}
_READERS: dict[str, Callable[[Mapping[str, object]], Said]] = {
    "openai": _openai,
    "anthropic": _openai,
    "responses": lambda item: (_responses if item.get("role") is None else _openai)(item),
    "sharegpt": _sharegpt,
    "langchain": _langchain,
    "chatgpt": _chatgpt,
    "chatml": _openai,
}
