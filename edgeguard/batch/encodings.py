"""The encoding of an input: given, found by its byte order mark, or UTF-8; and as UTF-8.

A byte that cannot be decoded is passed on as a byte that is not UTF-8, so that its row can be
found. This module knows no rows.
"""

from __future__ import annotations

import codecs
import io
from typing import BinaryIO

from edgeguard.errors import InputError

_MARKS = (  # UTF-32 before UTF-16: the mark of one starts with that of the other
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNS = (
    (b"\x1f\x8b", "it is compressed by gzip; give its name the ending .gz"),
    (b"PK\x03\x04", "it is a zip file or an Excel workbook; unpack it, or save it as CSV"),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd; unpack it first"),
    (b"PAR1", "it is Parquet; say --format parquet"),
)
_CHUNK = 1 << 16
_UNDECODED = "edgeguard.undecoded"


def by_mark(start: bytes) -> str | None:
    """The encoding that a byte order mark names; None without one."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def check_encoding(name: str) -> str | None:
    """An encoding's name as Python has it, None for UTF-8. Raises InputError."""
    try:
        found = codecs.lookup(name).name
        "a".encode(name)  # raises for codecs that are not text encodings, such as hex
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"no encoding is named {name!r}; there are utf-8, utf-16, cp1252, latin-1, shift_jis, "
            "gb18030 and the others of Python"
        ) from error
    return None if found in ("utf-8", "utf-8-sig", "ascii") else found


def advice(start: bytes) -> str:
    """What to do about a file that is not UTF-8, by its first bytes."""
    for sign, words in _SIGNS:
        if start.startswith(sign):
            return words
    if b"\x00" in start[:200]:
        order = "le" if start[1:2] == b"\x00" else "be"
        return f"it looks like UTF-16; try --encoding utf-16-{order}"
    return "save it as UTF-8, or say what it is: --encoding cp1252 for Windows' Western European"


class AsUtf8(io.RawIOBase):
    """A stream decoded to UTF-8 (None: it is UTF-8 already); ``cr``: its lines end in CR alone."""

    def __init__(self, file: BinaryIO, encoding: str | None, *, cr: bool) -> None:
        self._file = file
        self._cr = cr
        self._decoder: codecs.IncrementalDecoder | None = None
        if encoding is not None:
            self._decoder = codecs.getincrementaldecoder(encoding)(_UNDECODED)
        self._left = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill a buffer; 0 at the end."""
        target = memoryview(buffer)  # type: ignore[arg-type]
        while not self._left and not self._ended:
            self._left = memoryview(self._more())
        size = min(len(target), len(self._left))
        target[:size], self._left = self._left[:size], self._left[size:]
        return size

    def _more(self) -> bytes:
        data = self._file.read(_CHUNK)
        self._ended = not data
        if self._decoder is not None:
            data = self._decoder.decode(data, self._ended).encode("utf-8", "surrogateescape")
        return data.replace(b"\r", b"\n") if self._cr else data


def _keep(error: UnicodeError) -> tuple[str, int]:
    """A byte that cannot be decoded, as a lone surrogate."""
    assert isinstance(error, UnicodeDecodeError)
    byte = error.object[error.start]
    return chr(0xDC00 + (byte if byte >= 0x80 else 0xFF)), error.end


codecs.register_error(_UNDECODED, _keep)
