"""Normalises the paths that clients put together in different ways.

A base URL with a slash too many, with `/v1` twice or without it is a common mistake, and a 404
would be harmful: openai-guardrails then sends the text to OpenAI. So these paths are accepted, and
targets in absolute form, as RFC 9112 (3.2.2) requires. A path that is still unknown and would have
judged something is refused with 400.

This module answers nothing.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import Scope

RESPONSE = "response"
"""Before a path of the moderation: the texts are answers."""
OPENAI_KEYS = "openai-keys"
"""Before it: whatever is flagged fills one of the keys that OpenAI has."""

_MODERATION = re.compile(r"((?:/response|/openai-keys)*)(?:/v1)*/moderations")
_TAILS = re.compile(r"(?:/v1)*(/(?:chat/completions|models(?:/.*)?|guard(?:/stream)?))")
_JUDGES = re.compile(r".*/(?:moderations|completions|guard|responses|messages|chat|generate)")


def canonical(scope: Scope, root: str) -> dict[str, Any]:
    """What changes of a request's scope: ``path``, and the headers if the target names the host.

    ``root`` is the prefix of a proxy that leaves it on. The state gets ``said``, what stands before
    the path of the moderation: for hosts that can set nothing but the base URL.
    """
    changed: dict[str, Any] = {}
    host, path = _target(str(scope["path"]))
    if host is not None:
        # It is what counts, and must not get past the check of the host.
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed["headers"] = [*others, (b"host", host.encode("latin-1", "replace"))]
    said, path = meant(_inside(re.sub(r"/{2,}", "/", path), root))
    scope["state"]["said"] = said
    return {**changed, "path": path}


def _target(target: str) -> tuple[str | None, str]:
    """The host, if a target names it, and the path."""
    found = re.fullmatch(r"https?://([^/]*)(.*)", target, re.IGNORECASE | re.DOTALL)
    return (found[1], found[2] or "/") if found else (None, target)


def meant(path: str) -> tuple[frozenset[str], str]:
    """The path of ours that a client means, or its own, and what it says before it."""
    path = path.rstrip("/") or "/"
    if (moderation := _MODERATION.fullmatch(path)) is not None:
        return frozenset(moderation[1].split("/")) - {""}, "/v1/moderations"
    tail = _TAILS.fullmatch(path)
    return frozenset(), f"/v1{tail[1]}" if tail else path


def would_judge(path: str) -> bool:
    """Whether an unknown path looks as if a text should have been judged there."""
    return _JUDGES.fullmatch(path) is not None


def _inside(path: str, root: str) -> str:
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path
