"""Server-sent events out of bytes, which come cut anywhere: in a line, or in a character.

This module knows no API. Errors are GarbageError.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from edgeguard.errors import InputError
from edgeguard.strict_json import parse_json

MAX_EVENT = 1024 * 1024
"""Bytes of one event; what is longer is no event of a model."""
DONE = "[DONE]"


class GarbageError(Exception):
    """The upstream sends what cannot be read, and so cannot be judged."""


@dataclass(frozen=True)
class Event:
    """An event: its name, and its data as it came and as JSON; None for `[DONE]`."""

    name: str
    data: str
    value: dict[str, object] | None

    def raw(self) -> bytes:
        """The event as it is sent."""
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {self.data}\n\n".encode()


def event(value: dict[str, object], name: str = "") -> Event:
    """An event with this value."""
    return Event(name, json.dumps(value), value)


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """The events in a body. Raises GarbageError; a last one that is not complete is lost."""
    lines: list[str] = []
    size = 0
    async for line in _lines(chunks):
        size += len(line)
        if size > MAX_EVENT:
            raise GarbageError("an event is too long")
        if line:
            lines.append(_decoded(line))
            continue
        for found in _event(lines):
            yield found
        lines, size = [], 0


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise GarbageError("a line is not UTF-8") from None


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        if len(rest) > MAX_EVENT:
            raise GarbageError("a line is too long")
        for line in whole:
            yield line.rstrip(b"\r")


def _event(lines: list[str]) -> Iterator[Event]:
    """The event of some lines; comments and fields that nobody reads make none."""
    name, data = "", []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field not in ("", "id", "retry"):
            raise GarbageError("a line is none of an event stream")
    if data:
        yield _read(name, "\n".join(data))


def _read(name: str, data: str) -> Event:
    if data.strip() == DONE:
        return Event("", DONE, None)
    if not name.replace("_", "").replace(".", "").isalnum() and name:
        raise GarbageError("an event has a name that no API gives")
    try:
        value = parse_json(data, "an event")
    except InputError as error:
        raise GarbageError(str(error)) from None
    if not isinstance(value, dict):
        raise GarbageError("an event is no object")
    # One line, whatever it came as: the client's reader of lines must see what was read here.
    return Event(name, json.dumps(value) if {"\n", "\r"} & set(data) else data, value)
