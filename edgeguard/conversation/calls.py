"""A tool call as text, written as Qwen3's own chat template shows it to its model.

    <tool_call>
    {"name": "weather", "arguments": {"city": "Paris"}}
    </tool_call>

Qwen3Guard's question has no place for tool calls; this way of writing one is what its base model
was trained on. This module reads no messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgeguard.errors import InputError

_INNER = ("function", "custom")
_ARGUMENTS = ("arguments", "args", "input")
_OF_ITEMS = ("id", "type", "status", "call_id")


def call_text(call: object) -> str:
    """A call in the form of OpenAI, Anthropic, LangChain, Gemini or Ollama, as text.

    Raises InputError, without the name of the message.
    """
    if not isinstance(call, Mapping):
        raise InputError("has a tool call that is no object")
    inner = next((call[key] for key in _INNER if isinstance(call.get(key), Mapping)), call)
    name = inner.get("name")
    if not isinstance(name, str):
        raise InputError("has a tool call without a name")
    given: object = next((inner[key] for key in _ARGUMENTS if inner.get(key) is not None), {})
    return written(name, given)


def item_call_text(item: Mapping[str, object], kind: str) -> str:
    """A call in an item of OpenAI's Responses; built-in tools have no name there."""
    if isinstance(item.get("name"), str):
        return call_text(item)
    rest = {key: value for key, value in item.items() if key not in _OF_ITEMS and value is not None}
    return written(kind.removesuffix("_call"), rest)


def raw_call_text(text: str) -> str:
    """A call that is already text, as in ShareGPT."""
    return f"<tool_call>\n{text}\n</tool_call>"


def written(name: str, arguments: object) -> str:
    """The text of a call; arguments that are a string are not changed."""
    text = arguments if isinstance(arguments, str) else _json(arguments)
    return raw_call_text(f'{{"name": {_json(name)}, "arguments": {text}}}')


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError("has a tool call whose arguments are no JSON") from error
