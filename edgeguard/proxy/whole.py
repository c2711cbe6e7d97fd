"""An answer that comes in one piece: its texts, and the answer as the client gets it.

Log probabilities repeat the text, along with likely alternatives; they are removed unless they are
allowed. This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from edgeguard.errors import InputError
from edgeguard.protocol.visible import has_visible
from edgeguard.proxy.words import are_arguments, media_in, unescaped, without_tokens, words
from edgeguard.server.http_errors import HttpError
from edgeguard.strict_json import parse_json


@dataclass(frozen=True)
class Whole:
    """All text of an answer, and the bytes that the client gets if it passes."""

    text: str
    body: bytes


def read_answer(
    body: bytes, *, said: Collection[str] = (), skip_media: bool = False, tokens: bool = False
) -> Whole:
    """Read an answer. Raises HttpError 502 if it cannot be judged.

    ``said``: what the client sent. ``tokens``: log probabilities may stay.
    """
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
    bare = without_tokens(value)
    as_it_came = tokens or bare is value
    return Whole(text_in(bare, said), body if as_it_came else json.dumps(bare).encode())


def text_in(value: object, said: Collection[str] = ()) -> str:
    """All text in a value, one text per line, without repetitions."""
    texts = dict.fromkeys(
        unescaped(found.text) if are_arguments(found, None) else found.text
        for found in words(value, said=said)
    )
    text = "\n".join(texts)
    return text if has_visible(text) else ""


def error_text(body: bytes) -> str:
    """All text of an upstream's error, which may or may not be JSON."""
    try:
        return text_in(parse_json(body, "the error"))
    except InputError:
        text = body.decode("utf-8", "replace")
        return text if has_visible(text) else ""
