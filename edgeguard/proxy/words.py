"""The texts in a JSON value: every string but those that are known to be no text.

A field that nobody here has heard of is read as text, so that none passes unread. This module
knows the names of the public APIs and judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

_NO_TEXT = frozenset(
    {
        "id", "object", "model", "role", "type", "finish_reason", "stop_reason", "index",
        "system_fingerprint", "service_tier", "status", "native_finish_reason", "provider",
        "call_id", "item_id", "response_id", "tool_use_id", "tool_call_id", "event",
        "previous_response_id", "obfuscation", "phase", "container_id", "format",
    }
)  # fmt: skip
"""Names, ids and words of the protocol."""
_SEALED = frozenset({"signature", "encrypted_content", "usage", "timings", "logprobs"})
"""What no reader sees as a text of its own: seals, counts, and the tokens of the same text."""
_ARGUMENTS = frozenset({"input", "arguments", "args", "parameters"})
"""What a tool is called with: there no name is one of the protocol."""
_LONGEST_NAME = 256
_MEDIA = frozenset({"audio", "image", "images", "image_url", "input_image", "b64_json", "file"})


@dataclass(frozen=True)
class Words:
    """A text, and where it stands."""

    path: Path
    text: str


def words(value: object, path: Path = ()) -> Iterator[Words]:
    """Every text in a value, in its order."""
    if isinstance(value, str):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        if value and not (name in _NO_TEXT and len(value) <= _LONGEST_NAME):
            yield Words(path, value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in _ARGUMENTS and isinstance(inner, dict):
                if inner:  # its names are the caller's, and say something too
                    yield Words((*path, name), json.dumps(inner, ensure_ascii=False))
            elif name not in _SEALED:
                yield from words(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from words(inner, (*path, _number(inner, place)))


def text_of(value: object) -> str:
    """All of them, a line each."""
    return "\n".join(found.text for found in words(value))


def media_in(value: object) -> bool:
    """Whether there is a picture or a sound in it."""
    if isinstance(value, dict):
        named = any(name in _MEDIA and inner for name, inner in value.items())
        return named or value.get("type") in _MEDIA or any(map(media_in, value.values()))
    return isinstance(value, list) and any(map(media_in, value))


def _number(inner: object, place: int) -> int:
    """What an entry is called: some streams number the parts of an answer, not those of a list."""
    index = inner.get("index") if isinstance(inner, dict) else None
    return index if isinstance(index, int) else place


def without_media(value: object) -> object:
    """The value without its pictures and sounds."""
    if isinstance(value, dict):
        if value.get("type") in _MEDIA or value.get("type") in ("input_audio", "document"):
            return None
        return {name: without_media(inner) for name, inner in value.items() if name not in _MEDIA}
    return [without_media(inner) for inner in value] if isinstance(value, list) else value
