"""The texts in a JSON value: every string and name, except those that are known not to be text.

An unknown field is read as text, so that nothing passes unread. A field known to contain a protocol
word is skipped only if its value looks like one: a sentence in an id is text. This module knows the
names of the public APIs and judges nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

_PROTOCOL = frozenset(
    {
        "id", "object", "model", "role", "type", "finish_reason", "stop_reason", "index",
        "system_fingerprint", "service_tier", "status", "native_finish_reason", "provider",
        "call_id", "item_id", "response_id", "tool_use_id", "tool_call_id", "event", "reason",
        "previous_response_id", "obfuscation", "phase", "container_id", "format", "truncation",
        "request_id", "file_id", "annotation_index", "encoding_format", "approval_request_id",
    }
)  # fmt: skip
"""Fields of names, ids and words of the protocol."""
_COUNTS = frozenset(
    {
        "usage", "timings", "content_filter_results", "content_filter_result",
        "prompt_filter_results", "x_groq", "billing",
    }
)  # fmt: skip
"""Fields of counts and states, whose inner names are not documented but are no text."""
_ECHOES = frozenset(
    {
        "instructions", "tools", "metadata", "text", "reasoning", "tool_choice", "prompt", "user",
        "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "conversation",
    }
)  # fmt: skip
"""Fields of the request that an answer of the Responses API repeats."""
_ECHO: Path = (-1,)
"""Marks the path of such a field; no real path has it."""
_SEALED = frozenset({"signature", "encrypted_content", "thought_signature", "embedding"})
"""Fields that are encrypted or encoded: not readable text, if it is one line of base64."""
_SEALED_TYPES = frozenset({"redacted_thinking", "reasoning.encrypted"})
_TOKENS = frozenset(
    {
        "logprobs", "top_logprobs", "prompt_logprobs", "completion_probabilities", "token_ids",
        "prompt_token_ids", "logprobs_result",
    }
)  # fmt: skip
"""Fields that repeat a text as tokens, with likely alternatives."""
_ARGUMENTS = frozenset({"input", "arguments", "args", "parameters"})
"""The arguments of a tool call, in which no name belongs to the protocol."""
_MEDIA = frozenset(
    {"audio", "image", "images", "image_url", "input_image", "b64_json", "file", "video"}
    | {"partial_image_b64", "inline_data", "inlineData"}
)
_MEDIA_TYPES = _MEDIA | {
    "input_audio", "output_audio", "image_generation_call", "computer_screenshot", "base64",
    "response.audio.delta", "response.output_audio.delta",
    "response.image_generation_call.partial_image",
}  # fmt: skip

_WORD = re.compile(r"[\w.:/@+=,~-]{0,256}", re.ASCII)
_KEY = re.compile(r"[\w.:/$-]{0,64}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class Words:
    """A text, and its path; ``protocol``: in a field that usually contains no text."""

    path: Path
    text: str
    protocol: bool = False


def words(value: object, path: Path = (), said: Collection[str] = ()) -> Iterator[Words]:
    """Every text in a value, in order. ``said``: strings that the client itself sent."""
    if isinstance(value, str):
        yield from _string(value, path, said)
    elif isinstance(value, dict):
        is_echo = value.get("object") == "response"
        for name, inner in value.items():
            if not _KEY.fullmatch(name):
                yield Words((*path, "{}"), name)
            if name in _ARGUMENTS and isinstance(inner, (dict, list)) and path[:1] != _ECHO:
                if inner:  # the caller chose its names, so they are text too
                    yield Words((*path, name), json.dumps(inner, ensure_ascii=False))
            elif is_echo and name in _ECHOES:
                yield from words(inner, (*_ECHO, name), said)
            elif not _is_sealed(value, inner):
                yield from words(inner, (*path, name), said)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from words(inner, (*path, _number(inner, place)), said)


def _string(text: str, path: Path, said: Collection[str]) -> Iterator[Words]:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    protocol = name in _PROTOCOL or path[:1] == _ECHO or not _COUNTS.isdisjoint(path)
    if not text or (protocol and (text in said or _WORD.fullmatch(text))):
        return
    if (name in _SEALED or not _MEDIA.isdisjoint(path)) and _BASE64.fullmatch(_bare(text)):
        return  # the content of an allowed medium: see media_in
    yield Words(path, text, protocol)


def _bare(text: str) -> str:
    """The base64 content of an address like `data:image/png;base64,…`."""
    return text.partition(";base64,")[2] if text.startswith("data:") else text


def _is_sealed(value: dict[str, object], inner: object) -> bool:
    kind = value.get("type")
    packed = isinstance(inner, str) and _BASE64.fullmatch(_bare(inner)) is not None
    return packed and isinstance(kind, str) and kind in _SEALED_TYPES | _MEDIA_TYPES


def strings(value: object) -> Iterator[str]:
    """Every string in a value, whatever its field."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def without_tokens(value: object) -> object:
    """The value without its text as tokens; the same object if there are none."""
    if isinstance(value, dict):
        found = {
            name: _emptied(inner) if name in _TOKENS and inner else without_tokens(inner)
            for name, inner in value.items()
        }
        return found if any(found[name] is not value[name] for name in found) else value
    if isinstance(value, list):
        entries = [without_tokens(inner) for inner in value]
        return entries if any(a is not b for a, b in zip(entries, value)) else value
    return value


def _emptied(value: object) -> object:
    return [] if isinstance(value, list) else None


def unescaped(text: str) -> str:
    """The arguments of a tool call, which are JSON in a string, as their reader sees them."""
    return _ESCAPE.sub(_letter, text)


def _letter(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _ESCAPES.get(found[2], found[2])


def are_arguments(found: Words, kind: object) -> bool:
    """Whether a text is JSON in a string; ``kind`` is the type of its event."""
    name = found.path[-1] if found.path else ""
    by_event = str(kind).endswith(("_arguments.delta", "_arguments.done"))
    return name in ("arguments", "partial_json") or (by_event and name == "delta")


def media_in(value: object) -> bool:
    """Whether it contains a picture or a sound."""
    if isinstance(value, dict):
        named = any(name in _MEDIA and inner for name, inner in value.items())
        kind = value.get("type")
        typed = isinstance(kind, str) and kind in _MEDIA_TYPES
        return named or typed or any(map(media_in, value.values()))
    return isinstance(value, list) and any(map(media_in, value))


def _number(inner: object, place: int) -> int:
    """The name of an entry: some streams number the parts of an answer instead of a list's."""
    index = inner.get("index") if isinstance(inner, dict) else None
    return index if isinstance(index, int) else place


def without_media(value: object) -> object:
    """The value without its pictures and sounds."""
    if isinstance(value, dict):
        kind = value.get("type")
        if isinstance(kind, str) and (kind in _MEDIA_TYPES or kind == "document"):
            return None
        return {name: without_media(inner) for name, inner in value.items() if name not in _MEDIA}
    return [without_media(inner) for inner in value] if isinstance(value, list) else value
