"""The content of a message: a text, or parts of many types, named as in the public forms.

A part of an unknown type is an error, because there may be text in it. Errors here are InputError
without the name of the message, which the reader adds. Nothing is dropped here; the reader decides
what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import add

from edgeguard.conversation.calls import call_text
from edgeguard.conversation.turn import Content
from edgeguard.errors import InputError

_TEXTS = ("text", "input_text", "output_text", "summary_text", "reasoning_text")
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use", "tool_call", "tool-call", "function_call")
_THINKING = ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "thoughts")
IMAGE, SOUND, FILE, VIDEO = "an image", "a sound", "a file", "a video"
_MEDIA = {
    **dict.fromkeys(
        ("image", "image_url", "input_image", "image_file", "image_asset_pointer"), IMAGE
    ),
    **dict.fromkeys(("computer_screenshot", "image_generation_call"), IMAGE),
    **dict.fromkeys(("audio", "audio_url", "input_audio", "output_audio"), SOUND),
    **dict.fromkeys(("audio_asset_pointer", "real_time_user_audio_video_asset_pointer"), SOUND),
    **dict.fromkeys(("file", "input_file", "document", "container_upload", "media"), FILE),
    **dict.fromkeys(("video", "video_url", "input_video", "video_container_asset_pointer"), VIDEO),
}
_UNTYPED_MEDIA = {
    **dict.fromkeys(("image_url", "image"), IMAGE),
    **dict.fromkeys(("inlineData", "inline_data", "fileData", "file_data", "document"), FILE),
    "video": VIDEO,
}
_DEEPEST = 8
"""The most levels of nested parts; a tool result with parts of its own has two."""


def content_of(value: object, depth: int = 0) -> Content:
    """The content of a message or part: a text, a part, or a list of these; None is empty."""
    if value is None:
        return Content()
    if isinstance(value, str):
        return Content((value,))
    if isinstance(value, Mapping):
        return part_of(value, depth)
    parts = listed(value)
    if parts is None:
        raise InputError(f"has no text: 'content' is {type(value).__name__}, not a string")
    if depth > _DEEPEST:
        raise InputError("has parts within parts, nested too deeply")
    return reduce(add, (content_of(part, depth + 1) for part in parts), Content())


def part_of(part: Mapping[str, object], depth: int = 0) -> Content:
    """The content of one part."""
    if (kind := part.get("type", part.get("content_type"))) is None:
        return _untyped(part, depth)
    if not isinstance(kind, str):
        raise InputError("has a part whose type is no string")
    if kind in _TEXTS or kind == "audio_transcription":
        return Content((_text(part, "text"),))
    if kind == "refusal":
        return Content((_text(part, "refusal"),))
    if kind in _CALLS:
        return Content(calls=(call_text(part),))
    if kind in _THINKING:
        return Content(thinks=True)
    if kind.endswith("tool_result"):
        return content_of(part.get("content"), depth + 1)
    if (read := _WITH_TEXT.get(kind)) is not None:
        return read(part, depth)
    if kind in _MEDIA:
        return Content(media=(_MEDIA[kind],))
    raise InputError("has a part of a type that is not known; text parts have the type 'text'")


def transcribed(sound: object) -> Content:
    """The ``audio`` of OpenAI's messages: a sound, and its transcript if there is one."""
    said = sound.get("transcript") if isinstance(sound, Mapping) else None
    return Content((said,) if isinstance(said, str) else (), media=(SOUND,))


def listed(value: object) -> list[object] | None:
    """The elements of any kind of list, also of another library's array; else None."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "tolist"):
        return None
    members = value.tolist()
    return members if isinstance(members, list) else None


def _untyped(part: Mapping[str, object], depth: int) -> Content:
    """A part as Gemini and Bedrock write it: its type is the name of its only field."""
    found = {name: value for name, value in part.items() if value is not None}
    if found.get("thought") is True:
        return Content(thinks=True)
    if "text" in found:
        return Content((_text(part, "text"),))
    for name in ("functionCall", "function_call", "toolUse"):
        if name in found:
            return Content(calls=(call_text(found[name]),))
    for name in ("functionResponse", "function_response", "toolResult"):
        if name in found:
            return _outside(found[name], depth)
    for name, media in _UNTYPED_MEDIA.items():
        if name in found:
            return Content(media=(media,))
    raise InputError("has a part without a type; text parts have the type 'text'")


def _outside(value: object, depth: int) -> Content:
    """The result of a tool call in Gemini or Bedrock: parts, or any JSON."""
    if isinstance(value, Mapping):
        if "content" in value:
            return content_of(value["content"], depth + 1)
        value = value.get("response")
    return Content((as_text(value),))


def as_text(value: object) -> str:
    """The result of a tool call as text; it may be any JSON."""
    import json

    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError("has a result of a call that is no JSON") from error


def _document(part: Mapping[str, object], depth: int) -> Content:
    """Anthropic's document, which is read if it is given as text."""
    source = part.get("source")
    kind = source.get("type") if isinstance(source, Mapping) else None
    about = Content(_strings(part, "title", "context"))
    if kind == "text" and isinstance(source, Mapping):
        return about + Content((_text(source, "data"),))
    if kind == "content" and isinstance(source, Mapping):
        return about + content_of(source.get("content"), depth + 1)
    return about + Content(media=(FILE,))


def _found(part: Mapping[str, object], depth: int) -> Content:
    """A search result: its description, and the text that was found."""
    return Content(_strings(part, "title", "source", "url")) + content_of(
        part.get("content"), depth + 1
    )


def _error(part: Mapping[str, object], _depth: int) -> Content:
    return Content(_strings(part, "error_code"))


def _strings(part: Mapping[str, object], *names: str) -> tuple[str, ...]:
    return tuple(text for name in names if isinstance(text := part.get(name), str))


def _text(part: Mapping[str, object], name: str) -> str:
    text = part.get(name)
    if isinstance(text, Mapping):  # OpenAI's Assistants: {"value": …, "annotations": …}
        text = text.get("value")
    if not isinstance(text, str):
        raise InputError("has a text part without a text")
    return text


_WITH_TEXT: dict[str, Callable[[Mapping[str, object], int], Content]] = {
    "document": _document,
    "search_result": _found,
    "web_search_result": _found,
    "web_search_tool_result_error": _error,
}


def joined(contents: Iterable[Content]) -> Content:
    """All contents joined, in order."""
    return reduce(add, contents, Content())
