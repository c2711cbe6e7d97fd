"""What is judged of a request, in each of the forms of the public APIs.

In the conversation, the messages from the user's last one on are judged. System texts, the
definitions of tools, and every other field that contains text are judged as texts of their own.
Anything that cannot be judged is an HttpError, unless it is allowed by name. This module judges
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgeguard.conversation.reader import Reading
from edgeguard.conversation.value import Conversation
from edgeguard.errors import InputError
from edgeguard.protocol.visible import has_visible
from edgeguard.proxy import outside
from edgeguard.proxy.words import strings, without_media, words
from edgeguard.server.http_errors import HttpError

Form = Literal["chat", "completions", "responses", "messages", "embeddings", "tokens"]
Body = dict[str, Any]

FORMS: Mapping[str, Form] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/embeddings": "embeddings",
    "/v1/messages/count_tokens": "tokens",
}
"""The paths whose requests and answers are read."""

_SETTINGS = frozenset(
    {
        "model", "user", "metadata", "stop", "stop_sequences", "stream_options", "tool_choice",
        "service_tier", "reasoning_effort", "safety_identifier", "prompt_cache_key", "include",
        "truncation", "encoding_format", "modalities", "verbosity", "reasoning", "thinking",
        "keep_alive", "anthropic_version", "logit_bias", "prompt_cache_retention",
    }
)  # fmt: skip
"""Fields that no model reads as a text."""


@dataclass(frozen=True)
class Asked:
    """What must be judged of a request before its answer is shown."""

    form: Form
    body: Body
    conversation: Conversation
    """The conversation that is answered."""
    parts: tuple[Conversation, ...]
    """What is judged; the last one is ``conversation`` if that ends with something to judge."""

    @property
    def streams(self) -> bool:
        """Whether the client wants a stream."""
        return self.body.get("stream") is True

    @property
    def said(self) -> frozenset[str]:
        """Every string that the client sent; an answer may repeat them."""
        return frozenset(strings(self.body))


def asked(form: Form, body: object, reading: Reading, allows: Callable[[str], bool]) -> Asked:
    """Read a request. Raises HttpError 400 for what cannot be judged."""
    if not isinstance(body, dict):
        raise HttpError(400, "the body must be a JSON object", code="invalid_json")
    outside.check(body, allows, skip_media=reading.skip_media)
    try:
        conversation, beside, used = _READERS[form](body, reading)
        rest = {
            name: value
            for name, value in body.items()
            if name not in _SETTINGS | used | outside.FIELDS
        }
        beside += [_written(value) for value in rest.values() if _may_be_text(value)]
        beside += _unread([body[name] for name in used if name in body], conversation, beside)
        return Asked(form, body, conversation, tuple(_parts(conversation, beside)))
    except InputError as error:
        raise HttpError(
            400,
            f"this request cannot be judged, so it is not passed on: {error}",
            code="not_judged",
        ) from None


def _parts(conversation: Conversation, beside: list[str]) -> list[Conversation]:
    systems = [
        message.content
        for message, speaker in zip(conversation.messages, conversation.speakers)
        if speaker == "system"
    ]
    alone = [_alone(text) for text in (*systems, *beside) if has_visible(text)]
    return alone + conversation.judged("exchange")


def _unread(values: list[object], conversation: Conversation, beside: list[str]) -> list[str]:
    """Texts in the messages that the conversation read from them does not contain.

    For example earlier thinking, which the upstream reads, and fields of one upstream alone.
    """
    seen = [message.content for message in conversation.messages] + beside

    def is_seen(text: str) -> bool:
        return any(text in one for one in seen) or not has_visible(text)

    left = (found.text for found in words(without_media(values)) if not is_seen(found.text))
    return list(dict.fromkeys(text for text in left if not all(map(is_seen, _inner(text)))))


def _inner(text: str) -> list[str]:
    """The texts in the arguments of a tool call, which the conversation may write differently."""
    try:
        found = [one.text for one in words(json.loads(text))]
    except (ValueError, RecursionError):
        return [text]
    return found or [text]


def _alone(text: str) -> Conversation:
    return Reading()([{"role": "user", "content": text}])


def _may_be_text(value: object) -> bool:
    return isinstance(value, (str, dict, list)) and bool(value)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_Read = tuple[Conversation, list[str], frozenset[str]]
"""The conversation, texts beside it, and the fields that they were read from."""


def _chat(body: Body, reading: Reading) -> _Read:
    return reading({"messages": body.get("messages")}), [], frozenset({"messages"})


def _messages(body: Body, reading: Reading) -> _Read:
    names = {name: body[name] for name in ("system", "messages") if body.get(name) is not None}
    return reading(names), [], frozenset({"system", "messages"})


def _responses(body: Body, reading: Reading) -> _Read:
    given = body.get("input")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    names: Body = {"messages": messages}
    if body.get("instructions") is not None:
        names["instructions"] = body["instructions"]
    return reading(names), [], frozenset({"input", "instructions"})


def _completions(body: Body, reading: Reading) -> _Read:
    texts = _strings(body.get("prompt"), "prompt")
    if len(texts) != 1:
        raise InputError("prompt must be one text: one answer is judged at a time")
    return reading([{"role": "user", "content": texts[0]}]), [], frozenset({"prompt"})


def _embeddings(body: Body, reading: Reading) -> _Read:
    *texts, last = _strings(body.get("input"), "input")
    return reading([{"role": "user", "content": last}]), texts, frozenset({"input"})


def _strings(value: object, name: str) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise InputError(f"{name} must be a text or a list of texts, and no tokens")
    return found


_READERS: Mapping[Form, Callable[[Body, Reading], _Read]] = {
    "chat": _chat,
    "completions": _completions,
    "responses": _responses,
    "messages": _messages,
    "embeddings": _embeddings,
    "tokens": _messages,
}
