"""Which format a file has, by its name, and its reader and writer.

The result has the format of the input, or JSONL for plain text. This module reads no rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, get_args

from edgeguard.batch.csv_ import Csv
from edgeguard.batch.json_array import JsonArray
from edgeguard.batch.jsonl import Jsonl
from edgeguard.batch.layout import Told
from edgeguard.batch.parquet import Parquet
from edgeguard.batch.rows import Place, Row
from edgeguard.batch.source import PIPE, Seen, Source
from edgeguard.batch.text import Text
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError

FormatName = Literal["jsonl", "json", "csv", "parquet", "txt"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

_ENDINGS: dict[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "txt",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Content(Protocol):
    """The content of an input, checked for changes since it was measured."""

    @property
    def seen(self) -> Seen:
        """The data read so far."""

    def measure(self, seen: Seen) -> str:
        """The sha256 of the whole input, for later checks. ``seen`` was read in an earlier run."""

    def check_read(self) -> None:
        """After the last row: check that what was read is what was measured. Raises InputError."""

    def check_still(self) -> None:
        """Later: check that the file is still what was read. Raises InputError."""


class Format(Protocol):
    """An open input in one of the formats, which can also write its rows."""

    @property
    def content(self) -> Content:
        """The content of the input."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on how the input is read."""

    @property
    def head(self) -> bytes:
        """The bytes before the first row of the result."""

    @property
    def tail(self) -> bytes:
        """The bytes after the last row of the result."""

    @property
    def names(self) -> Names:
        """The fields that are read and written, with nothing left to guess."""

    @property
    def unit(self) -> str:
        """What a row's number counts: lines, or rows."""

    def done(self) -> tuple[int, int]:
        """How much is read, and the total; 0 of 0 if that is unknown."""

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason for having none."""

    def result(self, partial: Path) -> Path:
        """The finished file, after all rows have been encoded into ``partial``."""


@contextmanager
def open_input(
    name: str,
    format_name: FormatName,
    names: Names,
    told: Told | None = None,
    encoding: str | None = None,
) -> Iterator[Format]:
    """The input, a file or ``-``, in its format. Raises InputError if it is unusable.

    ``told`` is what the user said of a CSV file, ``encoding`` that of a text file.
    """
    if format_name == "parquet":
        if name == PIPE or name.endswith(".gz"):
            raise InputError(f"Parquet is read from its end: give a plain file, not {name}")
        yield Parquet(name, names)
        return
    with Source(name, encoding) as source:
        if format_name == "jsonl":
            yield Jsonl(source, names)
        elif format_name == "json":
            yield JsonArray(source, names)
        elif format_name == "txt":
            yield Text(source, names)
        else:
            tabs = name.lower().removesuffix(".gz").endswith(".tsv")
            yield Csv(source, names, told or Told(), tabs=tabs)


def format_of(name: str, out: str, told: FormatName | None) -> FormatName:
    """The format of a run: given, or by the names of input and result. Raises InputError.

    A pipe has no name: it takes the format of the other one, or JSONL if both are pipes.
    """
    if out.endswith(".gz"):
        raise InputError(f"{out}: a result is not compressed; leave out the .gz")
    read, written = _by_name(name.removesuffix(".gz")), _by_name(out)
    if told is None and name != PIPE and read is None:
        raise InputError(
            f"the format of {name} is not known by its name (.jsonl, .json, .csv, .tsv, "
            ".parquet or .txt): say which with --format"
        )
    chosen = told or read or written or "jsonl"
    if chosen == "txt" and name == PIPE and told is None:
        chosen = "jsonl"
    result: FormatName = "jsonl" if chosen == "txt" else chosen
    if written not in (None, result):
        raise InputError(_other(out, chosen, result))
    if out != PIPE and written is None and (told is None or chosen == "txt"):
        raise InputError(f"{out} must end in .{result}, as the input is {chosen}")
    if chosen == "parquet" and PIPE in (name, out):
        raise InputError("Parquet is read from its end and written at the end: give files, not -")
    return chosen


def is_known(name: str) -> bool:
    """Whether a file's name shows its format."""
    return _by_name(name.removesuffix(".gz")) is not None


def _other(out: str, chosen: FormatName, result: FormatName) -> str:
    if chosen != result:
        return f"a line of text has no place for a verdict, so the result is {result}: {out} is not"
    return f"the result has the format of the input, which is {chosen}: {out} would be another"


def _by_name(name: str) -> FormatName | None:
    return _ENDINGS.get(Path(name).suffix.lower())
