"""Parts of a request that the guard cannot see: refused, unless allowed by name.

These are things that the upstream stores, fetches itself (searches, other servers, files) or
answers later, and options that make it answer in a form other than text. This module judges
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from edgeguard.server.http_errors import HttpError

Allows = Callable[[str], bool]

_KEPT = frozenset(
    {
        "previous_response_id", "conversation", "file_ids", "container", "attachments",
        "tool_resources", "data_sources", "vector_store_ids", "thread", "assistant_id",
        "cached_content", "session_id",
    }
)  # fmt: skip
_FETCHED = frozenset({"web_search_options", "mcp_servers", "plugins", "search_parameters"})
_TOKENS = frozenset({"logprobs", "top_logprobs", "prompt_logprobs", "n_probs", "return_token_ids"})
FIELDS = _KEPT | _FETCHED
"""Fields that may be allowed by name, and are then not read."""
_CLIENTS_TOOLS = frozenset(
    {
        "function", "custom", "local_shell", "apply_patch", "computer", "computer_use",
        "bash", "text_editor", "memory", "str_replace_based_edit_tool",
    }
)  # fmt: skip
"""Tools that the client runs: their calls and results are in the conversation."""
_VERSION = re.compile(r"(_preview)?(_\d[\d_]*)?$")


def check(body: dict[str, Any], allows: Allows, *, skip_media: bool) -> None:
    """Raise HttpError 400 for the first thing that the guard cannot see and that is not allowed."""
    for param, name, why in _found(body, skip_media):
        if not allows(name):
            raise HttpError(
                400,
                f"{why}: leave {name} out, or start the proxy with --allow {name}",
                code="not_judged",
                param=param,
            )
    for name in ("n", "best_of"):
        if body.get(name) not in (None, 1):
            raise HttpError(
                400,
                f"{name} must be 1: one answer is judged at a time; send the request again instead",
                code="not_judged",
                param=name,
            )


def _found(body: dict[str, Any], skip_media: bool) -> Iterator[tuple[str, str, str]]:
    """The parameter, the name to allow, and what is wrong with it."""
    for name in sorted(FIELDS & body.keys()):
        if body[name]:
            kept = name in _KEPT
            does = "brings in" if kept else "fetches"
            yield name, name, f"{name} {does} what the guard has not seen"
    if isinstance(body.get("prompt"), dict):
        yield "prompt", "prompt", "a prompt that the upstream keeps is not seen by the guard"
    if body.get("background"):
        yield "background", "background", "an answer that is fetched later is not judged"
    for name in sorted(_TOKENS & body.keys()):
        if body[name]:
            yield name, "logprobs", "tokens that were likely are no text that can be judged"
    include = body.get("include")
    if isinstance(include, list) and any("logprobs" in str(one) for one in include):
        yield "include", "logprobs", "tokens that were likely are no text that can be judged"
    yield from _modalities(body.get("modalities"), skip_media)
    yield from _tools(body.get("tools"))
    yield from _items(body.get("input"))


def _modalities(given: object, skip_media: bool) -> Iterator[tuple[str, str, str]]:
    for kind in given if isinstance(given, list) else ():
        if kind != "text" and not skip_media:
            why = "sounds and pictures cannot be judged (--skip-media lets them pass)"
            yield "modalities", "modalities", why


def _tools(given: object) -> Iterator[tuple[str, str, str]]:
    for tool in given if isinstance(given, list) else ():
        tool = tool if isinstance(tool, dict) else {}
        kind = tool.get("type", "custom" if "name" in tool else "tools")
        name = _VERSION.sub("", str(kind))
        if name not in _CLIENTS_TOOLS:
            yield "tools", name, f"the tool {_named(name)} runs where the guard does not see it"


def _items(given: object) -> Iterator[tuple[str, str, str]]:
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict) and item.get("type") == "item_reference":
            yield "input", "item_reference", "a reference brings in what the guard has not seen"


def _named(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]{1,64}", name) else "of an unknown type"
