"""JSON from outside, read strictly and in the same way everywhere.

Whatever two parsers could read differently is refused: a repeated name in an object (one of the two
texts would be judged, and the other one used), NaN and Infinity, bytes that are not UTF-8, deep
nesting. Integers stay integers, since the arguments of a tool call may be shown to the model. An
error says what is wrong and where, and quotes nothing, because it may end up in a log.

This module does not know what the JSON means.
"""

from __future__ import annotations

import json

from edgeguard.errors import InputError

_LONGEST = 4000
"""The most digits passed to int(), below Python's own limit."""
MAX_DEPTH = 64
"""Levels of nesting; a conversation needs four."""


def parse_json(data: bytes | str, what: str) -> object:
    """The value; ``what`` names the input in errors. Raises InputError."""
    text = data if isinstance(data, str) else decode(data, what)
    try:
        value = json.loads(
            text, object_pairs_hook=unique_names, parse_constant=_constant, parse_int=whole
        )
        check_depth(value)
        return value
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{what} is not JSON: {error.msg} ({place})") from error
    except RecursionError as error:
        raise InputError(f"{what} is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{what} is not JSON that can be read: {error}") from error


def check_depth(value: object) -> None:
    """Raise ValueError for a value that is nested too deeply."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def decode(data: bytes, what: str) -> str:
    """Decode UTF-8, dropping a byte order mark. Raises InputError, which names the offset."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is {data[error.start]:#04x}"
        raise InputError(f"{what} is not UTF-8: {byte}") from error


def unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose names are unique, for json's ``object_pairs_hook``. Raises ValueError."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object in it has one name twice")
    return fields


def whole(digits: str) -> int | float:
    """An integer, for json's ``parse_int``; a float if it is too long for int()."""
    return int(digits) if len(digits) < _LONGEST else float(digits)


def _constant(_name: str) -> object:
    raise ValueError("NaN and Infinity are no JSON")
