"""The input's bytes, line by line, with the place of each line; unpacks .gz, converts to UTF-8.

A file is measured before its rows are read: what is read must be what was there at the start, and
lines added since are not read. This module knows lines, not rows.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from edgeguard.batch.encodings import AsUtf8, advice, by_mark
from edgeguard.batch.rows import START, Place
from edgeguard.batch.unchanged import (
    changed,
    changed_before,
    changed_since,
    grown,
    reading,
    untouched,
)
from edgeguard.errors import InputError

PIPE = "-"
MAX_LINE = 64 << 20
"""The most bytes of a line; a longer one would fill the memory, and is no line of text."""
_CHUNK = 1 << 20
_START = 1 << 16
"""Bytes at the start of a file in which its line ends are detected."""


@dataclass(frozen=True)
class Seen:
    """How many bytes of the input have been read, and their sha256."""

    offset: int = 0
    sha256: str = ""


NOTHING_SEEN = Seen()


class Source:
    """An open input. Use it as a context manager."""

    def __init__(self, name: str, encoding: str | None = None) -> None:
        """Open a file by its name, or standard input by ``-``. Raises InputError."""
        self.name = "standard input" if name == PIPE else name
        self._path = name
        self._told = encoding is not None
        self.place = START
        self._raw = _opened(name, self.name)
        self._status = os.fstat(self._raw.fileno())
        self.is_file = name != PIPE and stat.S_ISREG(self._status.st_mode)
        self.size = self._status.st_size if self.is_file else 0
        self._limit: int | None = None
        self._whole = ""
        self._digest: hashlib._Hash | None = None
        try:
            with reading(self.name):
                self.start = self._peek()
                self.encoding = encoding or by_mark(self.start)
                self.cr = self.is_file and b"\r" in self.start and b"\n" not in self.start
                self._file = self._stream()
        except BaseException:
            if name != PIPE:
                self._raw.close()
            raise

    def _peek(self) -> bytes:
        """The first bytes, unpacked; of a pipe, those that have arrived."""
        if not self.is_file:
            return cast(io.BufferedReader, self._raw).peek(4)
        try:
            return self._unpacked().read(_START)
        finally:
            self._raw.seek(0)

    def _unpacked(self) -> BinaryIO:
        zipped = self._path.endswith(".gz")
        return cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if zipped else self._raw

    def _stream(self) -> BinaryIO:
        file = self._unpacked()
        if self.encoding is None and not self.cr:
            return file
        return cast(BinaryIO, io.BufferedReader(AsUtf8(file, self.encoding, cr=self.cr), _CHUNK))

    @property
    def looks_wide(self) -> bool:
        """Whether it starts like UTF-16 without a byte order mark."""
        return self.encoding is None and b"\x00" in self.start[:200]

    @property
    def advice(self) -> str:
        """What to do if the text is not in the encoding."""
        if self.encoding is not None:
            return f"it was read as {self.encoding}; say what it is with --encoding"
        return advice(self.start)

    @property
    def notes(self) -> Iterator[str]:
        """Notes for the user on anything unusual about the file."""
        if self.encoding is not None and not self._told:
            yield f"{self.name}: it is {self.encoding} by its first bytes; the result is UTF-8"
        if self.cr:
            yield f"{self.name}: its lines end in CR; those of the result end in LF"

    def problem(self, raw: bytes) -> str:
        """Why a row is not valid text; empty if it is."""
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = f"byte {error.start} is {raw[error.start]:#04x}"
            if self.encoding is not None:
                return f"not {self.encoding}: {wrong}"
            return f"not UTF-8: {wrong}; where all of a file is so, try --encoding cp1252"
        return ""

    @property
    def done(self) -> int:
        """How much of ``size`` has been read, in bytes; 0 if the size is unknown."""
        return min(self._raw.tell(), self.size) if self.is_file else 0

    def measure(self, seen: Seen) -> str:
        """Compute the sha256 of the whole file, for later checks.

        ``seen`` is what an earlier run has read. Raises InputError if that part has changed.
        """
        self._rewind()
        digest = hashlib.sha256()
        size = _take(self, self._file, digest, seen.offset)
        if seen.sha256 and (size, digest.hexdigest()) != (seen.offset, seen.sha256):
            raise changed_before(self.name)
        self._limit = size + _take(self, self._file, digest, None)
        self._whole = digest.hexdigest()
        self._digest = hashlib.sha256()
        self.seek(START)
        return self._whole

    @property
    def seen(self) -> Seen:
        """What has been read so far, from the first byte on."""
        if self._digest is None:
            return NOTHING_SEEN
        return Seen(self.place.offset, self._digest.hexdigest())

    def check_read(self) -> None:
        """After the last row: check that what was read is what was measured. Raises InputError."""
        if self._limit is not None and self.seen != Seen(self._limit, self._whole):
            raise changed(self.name)

    def check_still(self) -> None:
        """Check that the file is still what was read. Raises InputError."""
        if self._limit is None or untouched(self._path, self._status):
            return
        if not Path(self._path).is_file():
            raise changed_since(self.name)
        with Source(self._path, self.encoding) as now:
            digest = hashlib.sha256()
            size = _take(now, now._file, digest, self._limit)
            if (size, digest.hexdigest()) != (self._limit, self._whole):
                raise changed_since(self.name)
            if _take(now, now._file, digest, None):
                raise grown(self.name)

    def seek(self, place: Place) -> None:
        """Continue from a place."""
        if self._digest is not None:  # earlier bytes are read again, for the sha256 of the whole
            self._rewind()
            self._digest = hashlib.sha256()
            _take(self, self._file, self._digest, place.offset)
        else:
            with reading(self.name):
                if self._file.seekable():
                    self._file.seek(place.offset)
                else:
                    self._rewind()
                    _take(self, self._file, hashlib.sha256(), place.offset)
        self.place = place

    def _rewind(self) -> None:
        with reading(self.name):
            self._raw.seek(0)
            self._file = self._stream()
        self.place = START

    def lines(self) -> Iterator[bytes]:
        """The lines from here on, with their ends; of one that is too long, MAX_LINE + 1 bytes.

        ``place`` is always the one after the last line returned. Raises InputError.
        """
        while line := self._line(0):
            size = len(line)
            if size > MAX_LINE:
                size += self._skip(line)
            self.place = Place(self.place.offset + size, self.place.line + 1)
            yield line

    def chunks(self) -> Iterator[bytes]:
        """The bytes from here on, in pieces; ``place`` is after the last one. Raises InputError."""
        while True:
            most = _START
            if self._limit is not None:
                most = min(most, self._limit - self.place.offset)
            with reading(self.name):
                chunk = self._file.read(most)
            if not chunk:
                return
            if self._digest is not None:
                self._digest.update(chunk)
            self.place = Place(self.place.offset + len(chunk), self.place.line)
            yield chunk

    def _line(self, ahead: int) -> bytes:
        """A line, or the next part of one; ``ahead`` bytes of it have been read."""
        most = MAX_LINE + 1
        if self._limit is not None:
            most = min(most, self._limit - self.place.offset - ahead)
        with reading(self.name):
            line = self._file.readline(most)
        if self._digest is not None:
            self._digest.update(line)
        return line

    def _skip(self, part: bytes) -> int:
        """Read to the end of the line; returns how many bytes that was."""
        size, first = 0, len(part)
        while part and not part.endswith(b"\n"):
            part = self._line(first + size)
            size += len(part)
        return size

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path != PIPE:
            self._file.close()
            self._raw.close()


def _opened(name: str, shown: str) -> BinaryIO:
    if name != PIPE:
        with reading(shown):
            return cast(BinaryIO, Path(name).open("rb"))
    if sys.stdin is None:
        raise InputError("standard input is closed: pipe the rows into it, or name a file")
    return sys.stdin.buffer


def _take(source: Source, file: BinaryIO, digest: hashlib._Hash, most: int | None) -> int:
    """Read to the end, or at most so many bytes; returns how many there were."""
    size = 0
    with reading(source.name):
        while chunk := file.read(_CHUNK if most is None else min(_CHUNK, most - size)):
            digest.update(chunk)
            size += len(chunk)
    return size


def is_plain_file(name: str) -> bool:
    """Whether an input can be read twice: neither standard input nor another pipe."""
    return name != PIPE and (Path(name).is_file() or Path(name).is_dir())
