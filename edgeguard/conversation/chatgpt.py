"""The tree of ChatGPT's own export: the branch that its reader last saw, as a list of messages.

Every edit and every repeated answer starts a branch; ``current_node`` names the end of the current
one. Nodes without a message, and messages without content, are ChatGPT's own markers and are
skipped.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgeguard.errors import InputError


def branch(mapping: Mapping[object, object], current: object) -> list[object]:
    """The messages from the root to the current node. Raises InputError if there is none."""
    node = _leaf(mapping) if current is None else current
    found: list[object] = []
    seen: set[str] = set()
    while node is not None:
        if not isinstance(node, str) or node in seen or node not in mapping:
            raise InputError("the tree of messages is broken: a node has no way to the first one")
        seen.add(node)
        here = mapping[node]
        if not isinstance(here, Mapping):
            raise InputError("the tree of messages is broken: a node is no object")
        if _is_message(here.get("message")):
            found.append(here["message"])
        node = here.get("parent")
    return found[::-1]


def _leaf(mapping: Mapping[object, object]) -> object:
    """The only leaf of a tree that does not name its current node; None if there are several."""
    leaves = [
        key
        for key, node in mapping.items()
        if isinstance(node, Mapping) and not node.get("children")
    ]
    if len(leaves) != 1:
        raise InputError("the tree of messages has several ends and no 'current_node' to say which")
    return leaves[0]


def _is_message(message: object) -> bool:
    """Whether a message has any content."""
    if not isinstance(message, Mapping):
        return message is not None
    content = message.get("content")
    if not isinstance(content, Mapping):
        return bool(content)
    said = [
        value
        for name, value in content.items()
        if name not in ("content_type", "language", "response_format_name")
    ]
    return any(_holds(value) for value in said)


def _holds(value: object) -> bool:
    if isinstance(value, str):
        return value.strip() != ""
    return any(_holds(one) for one in value) if isinstance(value, list) else value is not None
