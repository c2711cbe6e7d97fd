"""The one path that is meant by the ways in which clients put it together.

A base URL with a slash too many, with `/v1` twice or without it is a common mistake, and its 404 is
not harmless: openai-guardrails then sends the text to OpenAI. So these are taken, and targets in
absolute form, as RFC 9112 asks (3.2.2). What is still unknown and would have judged something is
refused with 400.

This module answers nothing.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Scope

RESPONSE = "/response"
"""Before a path of the moderation: the text is an answer. For hosts that set the base URL only."""

_OPENAI = r"(?:chat/completions|moderations|models(?:/.*)?|guard)"
_TAILS = re.compile(rf"(?P<response>/response)?(?:/v1)*/(?P<tail>{_OPENAI})")
_JUDGES = re.compile(r".*/(?:moderations|completions|guard|responses|messages|chat|generate)")


def canonical(scope: Scope, root: str) -> dict[str, Any]:
    """``path`` of a request, and its headers where the target names the host.

    ``root`` is the prefix of a proxy that leaves it on.
    """
    path, changed = str(scope["path"]), {}
    if re.match(r"https?://", path, re.IGNORECASE):
        parts = urlsplit(path)
        path = parts.path
        # The target is what counts, and must not get past the check of the host.
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed["headers"] = [*others, (b"host", parts.netloc.encode("latin-1", "replace"))]
    return {**changed, "path": meant(_inside(re.sub(r"/{2,}", "/", path), root))}


def meant(path: str) -> str:
    """The path of ours that a client means, or what it said."""
    path = path.rstrip("/") or "/"
    found = _TAILS.fullmatch(path)
    if found is None:
        return path
    prefix = RESPONSE if found["response"] and found["tail"] == "moderations" else ""
    if found["response"] and not prefix:
        return path
    return f"{prefix}/v1/{found['tail']}"


def would_judge(path: str) -> bool:
    """Whether an unknown path looks as if a text should have been judged there."""
    return _JUDGES.fullmatch(path) is not None


def _inside(path: str, root: str) -> str:
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path
