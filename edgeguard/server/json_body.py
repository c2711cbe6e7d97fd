"""A body's JSON, read strictly and within limits on memory.

A parsed byte can take up to thirty bytes of memory, so the values and levels of nesting are counted
in the bytes of the body before it is parsed. This module does not know what the JSON means.
"""

from __future__ import annotations

import re

from edgeguard.errors import InputError
from edgeguard.server.http_errors import HttpError
from edgeguard.strict_json import MAX_DEPTH, parse_json

MAX_VALUES = 50_000
"""Values in one body; 256 conversations of 40 messages have 40,000. Together they take up to
20 MB while they are read."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse(body: bytes, *, halves: bool = False) -> object:
    """The value; ``halves``: strings may end in half a character. Raises HttpError 400."""
    _check_amount(body)
    try:
        value = parse_json(body, "the body")
    except InputError as error:
        raise HttpError(400, str(error), code="invalid_json") from None
    if not halves and re.search(rb"\\u[dD][89a-fA-F]", body):
        _check_surrogates(value)
    return value


def _check_amount(body: bytes) -> None:
    """Refuse what would take too much memory, before any of it is built."""
    # Of no interest: what stands in strings. A backslash stands nowhere else.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bare.count(b'"') > 4 * MAX_VALUES:
        raise _too_much()
    outside = b"".join(bare.split(b'"')[::2])
    if sum(map(outside.count, (b",", b"[", b"{"))) >= MAX_VALUES:
        raise _too_much()
    depth = 0
    for bracket in outside.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise HttpError(
                400,
                f"the body is not JSON that can be read: it is nested more than {MAX_DEPTH} "
                "levels deep",
                code="invalid_json",
            )


def _check_surrogates(value: object) -> None:
    """JSON can spell half of a character; no text has one, and pydantic lets it pass."""
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), value)]
    while waiting:
        place, found = waiting.pop()
        if isinstance(found, dict):
            waiting.extend(((*place, name), part) for name, part in found.items())
            waiting.extend(((*place, name), name) for name in found)
        elif isinstance(found, list):
            waiting.extend(((*place, number), part) for number, part in enumerate(found))
        elif isinstance(found, str) and re.search(r"[\ud800-\udfff]", found):
            param = path_of(place)
            raise HttpError(
                400,
                f"{param or 'the body'}: it is not valid Unicode: a surrogate stands alone in it; "
                "repair the text where it was cut",
                param=param or None,
                code="invalid_unicode",
            )


def path_of(place: tuple[int | str, ...]) -> str:
    """`messages[0].content`, without the tags of our unions and without a client's odd names."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("as "):
            shown = step if re.fullmatch(r"[A-Za-z_]\w{0,39}", step, re.ASCII) else "(unnamed)"
            path += f".{shown}" if path else shown
    return path


def _too_much() -> HttpError:
    return HttpError(
        400,
        f"the body has more than {MAX_VALUES} values: send fewer texts at once",
        code="too_many_values",
    )
