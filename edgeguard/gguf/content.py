"""The digest in our own GGUF files: of everything in the file except itself.

``edgeguard.content.sha256`` is the sha256, in lower-case hex, of the file with these 64 digits
replaced by zeros ("0"). So it covers every key, the tensor table, the tensors and the padding. Any
other program that changes such a file has to remove the key.

This module only computes; it does not decide what to do about a file whose digest is wrong.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeguard.digest import CHUNK
from edgeguard.gguf.header import Header, read_header

KEY = "edgeguard.content.sha256"
BLANK = "0" * 64
_LENGTH = 8  # the length before a text, in bytes


def digest_in(header: Header) -> str | None:
    """The digest in a file; None if it has none. Raises ValueError."""
    value = header.keys.get(KEY)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != len(BLANK):
        raise ValueError(f"{KEY} is no sha256")
    return value


def place_of(header: Header) -> int:
    """The offset of the digits in the file."""
    return header.places[KEY] + _LENGTH


def blanked(data: bytes, place: int) -> bytes:
    """A part of the file, with zeros for the digits if they are at offset ``place`` in it."""
    first, last = max(place, 0), min(place + len(BLANK), len(data))
    if first >= last:
        return data
    return data[:first] + BLANK.encode()[: last - first] + data[last:]


def write_digest(path: Path) -> None:
    """Write the correct digest into a file that has the key. Raises ValueError, OSError."""
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
