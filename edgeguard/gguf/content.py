"""The digest that our own GGUF files carry: of everything in them but itself.

``edgeguard.content.sha256`` is the sha256, in lower-case hex, of the file in which these 64 digits
are written as zeros ("0"). So it covers every key, the tensor table, the tensors and the padding,
and whoever changes a file by another program than ours has to take the key out.

This module decides nothing about a file whose digest does not hold.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeguard.digest import CHUNK
from edgeguard.gguf.header import Header, read_header

KEY = "edgeguard.content.sha256"
BLANK = "0" * 64
_LENGTH = 8  # bytes before a text, which say how long it is


def digest_in(header: Header) -> str | None:
    """The digest that a file carries; None for a file without one. Raises ValueError."""
    value = header.keys.get(KEY)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != len(BLANK):
        raise ValueError(f"{KEY} is no sha256")
    return value


def place_of(header: Header) -> int:
    """Where in the file the digits are."""
    return header.places[KEY] + _LENGTH


def blanked(data: bytes, place: int) -> bytes:
    """A part of the file with zeros for the digits that are at ``place`` in it, if they are."""
    first, last = max(place, 0), min(place + len(BLANK), len(data))
    if first >= last:
        return data
    return data[:first] + BLANK.encode()[: last - first] + data[last:]


def write_digest(path: Path) -> None:
    """Put the right digest into a file that has one. Raises ValueError, OSError."""
    header = read_header(path)
    if digest_in(header) is None:
        raise ValueError(f"it lacks {KEY}")
    place = place_of(header)
    digest = hashlib.sha256()
    with path.open("rb+") as file:
        digest.update(file.read(place))
        file.seek(place + len(BLANK))
        digest.update(BLANK.encode())
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        file.seek(place)
        file.write(digest.hexdigest().encode())
