"""An answer that comes in one piece: judged, then passed on as it came, or refused."""

from __future__ import annotations

from typing import Any

from edgeguard.errors import InputError
from edgeguard.protocol.visible import has_visible
from edgeguard.proxy.words import media_in, words
from edgeguard.server.http_errors import HttpError
from edgeguard.strict_json import parse_json

_ECHOES = frozenset({"instructions", "tools", "metadata", "text", "reasoning", "tool_choice"})
"""What an answer of the Responses API repeats of the request."""


def text_in(body: bytes, *, skip_media: bool) -> str:
    """All text of an answer. Raises HttpError 502 for what cannot be judged."""
    try:
        value = parse_json(body, "the upstream's answer")
    except InputError as error:
        raise HttpError(502, str(error), code="upstream_garbage") from None
    if not isinstance(value, dict):
        raise HttpError(502, "the upstream's answer is no object", code="upstream_garbage")
    if media_in(value) and not skip_media:
        raise HttpError(
            502,
            "the upstream's answer holds a picture or a sound, which cannot be judged: "
            "--skip-media passes them over",
            code="not_judged",
        )
    said = _said(value)
    texts = list(dict.fromkeys(found.text for found in words(said)))
    return "\n".join(texts) if has_visible("\n".join(texts)) else ""


def _said(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("object") != "response":
        return value
    return {name: inner for name, inner in value.items() if name not in _ECHOES}
