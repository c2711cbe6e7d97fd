"""CSV with a header line. A row keeps its bytes, quotes and all; two columns are added.

The separator is the first of comma, semicolon, tab and bar that shows the named columns in the
header. Empty lines are no rows; an empty cell is no value. A row that cannot be read is written
with empty cells; where a quote is never closed, that is its first line alone, and the next line is
a row again. This module judges nothing.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeguard.batch.rows import START, Names, Place, Row, already, no_field, nothing
from edgeguard.batch.source import Source
from edgeguard.errors import InputError

_BOM = b"\xef\xbb\xbf"
_SEPARATORS = ",;\t|"
_MAX_CELL = 16 << 20
"""Characters of one cell: a longer one is a quote that was never closed."""


class _Line(NamedTuple):
    """A line with its end, and the place after it."""

    raw: bytes
    after: Place


class Csv:
    """Reads and writes the rows of a CSV file."""

    unit = "line"

    def __init__(self, source: Source, names: Names) -> None:
        """Read the header of an open input. Raises InputError where it will not do."""
        if names.messages is not None:
            raise InputError("a CSV cell holds no list of messages: --messages-field is for JSONL")
        self._source = source
        self._names = names
        self._taken: list[_Line] = []
        self._again: deque[_Line] = deque()
        csv.field_size_limit(_MAX_CELL)  # a setting of the whole process; 128 KiB at first
        self.columns, header = self._read_header()
        self._end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
        self._body = source.place
        self.head = _without_end(header) + self._cells(*names.added) + self._end

    def _read_header(self) -> tuple[list[str], bytes]:
        lines = list(_until_row(self._source.lines()))
        raw = b"".join(lines)
        try:
            text = raw.removeprefix(_BOM).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._source.name} is not UTF-8: byte {error.start} is {raw[error.start]:#04x}; "
                "save it as UTF-8"
            ) from error
        if not text.strip():
            raise nothing(self._source.name)
        for self._separator in _SEPARATORS:
            columns = self._split_header(text)
            if set(self._names.needed) <= set(columns):
                self._check_columns(columns)
                return columns, raw
        self._separator = ","
        raise no_field(self._source.name, self._names, self._split_header(text))

    def _split_header(self, text: str) -> list[str]:
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._separator)
            return next((row for row in rows if row), [])
        except csv.Error as error:
            raise InputError(f"the header of {self._source.name} is not CSV: {error}") from error

    def _check_columns(self, columns: list[str]) -> None:
        for name in self._names.added:
            if name in columns:
                raise InputError(f"{self._source.name}: {already(name)}")
        twice = [name for name in self._names.read if columns.count(name) > 1]
        if twice:
            raise InputError(f"{self._source.name} has two columns named {twice[0]!r}")

    def done(self) -> tuple[int, int]:
        """How much is read, and how much there is, in bytes; 0 of 0 where that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError where the file cannot be read."""
        if start not in (START, self._body):
            self._source.seek(start)
        reader = self._reader()
        while True:
            self._taken.clear()
            try:
                values, problem = next(reader), ""
            except StopIteration:
                return
            except csv.Error as error:
                values, problem = [], f"not CSV: {error}"
                self._again.extendleft(reversed(self._taken[1:]))
                del self._taken[1:]
                reader = self._reader()
            if values or problem:
                yield self._row(values, problem)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._texts(), delimiter=self._separator, strict=True)

    def _texts(self) -> Iterator[str]:
        """The lines as text, each kept as bytes too, until a whole row is made of them."""
        lines = self._source.lines()
        while True:
            if not self._again:
                line = next(lines, None)
                if line is None:
                    return
                self._again.append(_Line(line, self._source.place))
            self._taken.append(self._again.popleft())
            yield self._taken[-1].raw.decode("utf-8", "surrogateescape")

    def _row(self, values: list[str], problem: str) -> Row:
        raw = b"".join(line.raw for line in self._taken)
        if not problem:
            problem = self._problem(raw, values)
        fields = None if problem else {n: v or None for n, v in zip(self.columns, values)}
        return Row(self._taken[0].after.line, self._taken[-1].after, raw, fields, problem)

    def _problem(self, raw: bytes, values: list[str]) -> str:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            return f"not UTF-8: byte {error.start} is {raw[error.start]:#04x}"
        if len(values) != len(self.columns):
            return f"it has {len(values)} cells and the header {len(self.columns)}"
        return ""

    def result(self, partial: Path) -> Path:
        """The result: it is what has been written."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason why it has none, and a line end."""
        empty = self._separator.encode() * (len(self.columns) - 1)
        start = empty if row.fields is None else _without_end(row.raw)
        return start + self._cells(verdict or "", error) + self._end

    def _cells(self, *values: str) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._separator, lineterminator="").writerow(["", *values])
        return text.getvalue().encode("utf-8")


def _until_row(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of the first row: quotes that are open at a line's end go on in the next."""
    quotes = size = 0
    for line in lines:
        yield line
        quotes, size = quotes + line.count(b'"'), size + len(line)
        if (quotes % 2 == 0 and line.strip(_BOM + b"\r\n")) or size > _MAX_CELL:
            return


def _without_end(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").removesuffix(b"\r")
