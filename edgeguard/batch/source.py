"""The input's bytes, line by line, with the place of each line; gzip where the name ends in .gz.

This module knows lines, not rows.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from edgeguard.batch.rows import Place
from edgeguard.digest import sha256_of
from edgeguard.errors import InputError

PIPE = "-"
MAX_LINE = 64 << 20
"""Bytes of one line: a longer one is no file made of lines, and would fill the memory."""


class Source:
    """An open input. Use it as a context manager."""

    def __init__(self, name: str) -> None:
        """Open a file by its name, or standard input by ``-``. Raises InputError."""
        self.name = "standard input" if name == PIPE else name
        self.place = Place()
        with reading(self.name):
            raw = sys.stdin.buffer if name == PIPE else Path(name).open("rb")  # noqa: SIM115
            status = os.fstat(raw.fileno())
        self.is_file = is_plain_file(name)
        self.size = status.st_size if self.is_file else 0
        self._raw = cast(BinaryIO, raw)
        zipped = name.endswith(".gz")
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else self._raw

    @property
    def done(self) -> int:
        """How much of ``size`` has been read, in bytes; 0 where there is no size."""
        return min(self._raw.tell(), self.size) if self.is_file else 0

    def seek(self, place: Place) -> None:
        """Go on from a place."""
        with reading(self.name):
            self._file.seek(place.offset)
        self.place = place

    def lines(self) -> Iterator[bytes]:
        """The lines from here on, with their ends; one that is too long gives MAX_LINE + 1 bytes.

        ``place`` is always the one after the line that was given last. Raises InputError.
        """
        while line := self._line():
            size = len(line)
            if size > MAX_LINE:
                size += self._skip(line)
            self.place = Place(self.place.offset + size, self.place.line + 1)
            yield line

    def _line(self) -> bytes:
        with reading(self.name):
            return self._file.readline(MAX_LINE + 1)

    def _skip(self, part: bytes) -> int:
        """Read to the end of the line; how many bytes that was."""
        size = 0
        while part and not part.endswith(b"\n"):
            part = self._line()
            size += len(part)
        return size

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._raw is not sys.stdin.buffer:
            self._file.close()
            self._raw.close()


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say of an input that cannot be read what it is and why: InputError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"cannot read {name}: {why}") from error


def is_plain_file(name: str) -> bool:
    """Whether an input can be read twice: neither standard input nor another pipe."""
    return name != PIPE and Path(name).is_file()


def sha256_of_input(name: str) -> str:
    """The sha256 of the input's content. Raises InputError."""
    with reading(name):
        return sha256_of(Path(name))
