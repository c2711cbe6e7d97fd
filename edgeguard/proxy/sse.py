"""Server-sent events from bytes that may be cut anywhere: inside a line, or inside a character.

They are read as in the standard: lines end with CR, LF or both; a byte order mark and comments are
skipped. This module knows no API. Errors are GarbageError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeguard.errors import InputError
from edgeguard.strict_json import parse_json

MAX_EVENT = 1024 * 1024
"""The most bytes of an event; models send no longer ones."""
DONE = "[DONE]"
_BOM = b"\xef\xbb\xbf"
_NAME = re.compile(r"[A-Za-z0-9_.]{0,80}")


class GarbageError(Exception):
    """The upstream sent something that cannot be read, and so cannot be judged."""


@dataclass(frozen=True)
class Event:
    """An event: its name, and its data as text and as JSON; None for `[DONE]`."""

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


class Events:
    """Takes the bytes of a stream, and returns its events."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._begun = False

    @property
    def unread(self) -> bytes:
        """Bytes that are not yet an event; after a GarbageError, including the invalid ones."""
        return b"".join(line + b"\n" for line in self._lines) + self._rest

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that are complete now. Raises GarbageError."""
        self._rest += chunk
        if not self._begun:
            if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
                return
            self._begun = True
            self._rest = self._rest.removeprefix(_BOM)
        yield from self._read(self._whole_lines())

    def end(self) -> Iterator[Event]:
        """The last event, if only the empty line after it is missing. Raises GarbageError."""
        if self._rest in (b"", b"\r"):
            yield from self._read([b""])

    def _whole_lines(self) -> list[bytes]:
        # A CR at the very end may be the first half of a CR LF.
        held = self._rest.endswith(b"\r")
        body = self._rest[: len(self._rest) - held]
        *whole, rest = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + b"\r" * held
        if len(rest) > MAX_EVENT:
            raise GarbageError("a line is too long")
        return whole

    def _read(self, lines: list[bytes]) -> Iterator[Event]:
        for place, line in enumerate(lines):
            self._lines.append(line)
            self._size += len(line)
            try:
                if self._size > MAX_EVENT:
                    raise GarbageError("an event is too long")
                _check(line)
                found = None if line else _event(self._lines)
            except GarbageError:
                self._rest = b"".join(one + b"\n" for one in lines[place + 1 :]) + self._rest
                raise
            if not line:
                self._lines, self._size = [], 0
            if found is not None:
                yield found


def _check(line: bytes) -> None:
    """Raise GarbageError for a line that does not belong to an event stream."""
    name, _, _ = _decoded(line).partition(":")
    if name not in ("", "event", "data", "id", "retry"):
        raise GarbageError("a line is none of an event stream")


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise GarbageError("a line is not UTF-8") from None


def _event(lines: list[bytes]) -> Event | None:
    """The event in some lines; None for comments and unused fields."""
    name, data = "", []
    for line in lines:
        field, _, value = _decoded(line).partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return _read(name, "\n".join(data)) if data else None


def _read(name: str, data: str) -> Event:
    if data.strip() == DONE:
        return Event("", DONE, None)
    if not _NAME.fullmatch(name):
        raise GarbageError("an event has a name that no API gives")
    try:
        value = parse_json(data, "an event")
    except InputError as error:
        raise GarbageError(str(error)) from None
    if not isinstance(value, dict):
        raise GarbageError("an event is no object")
    # Always sent as one line, so that the client reads the same lines as this parser did.
    return Event(name, json.dumps(value) if "\n" in data else data, value)
