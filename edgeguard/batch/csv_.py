"""CSV with a header line. A row keeps its bytes, quotes and all; two columns are added.

edgeguard.batch.layout detects how the cells are written. Empty lines are not rows, and an empty
cell is a missing value. A row that cannot be read is kept, in as many cells as the header has. If a
quote is never closed, only that line is such a row, and the next line is read again. This module
judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from edgeguard.batch.dialect import Dialect, Line, without_end
from edgeguard.batch.layout import Survey, Told, candidates, choose, delimiters
from edgeguard.batch.rows import START, Place, Row, already, no_field, nothing
from edgeguard.batch.source import Source
from edgeguard.conversation.rows import ROW, Names
from edgeguard.errors import InputError

_BOM = b"\xef\xbb\xbf"
_SEP = re.compile(rb'"?sep=(.)"?\r?\n')
"""The line that tells Excel the delimiter."""
_MOST = 16 << 20
"""The most bytes of a header; something longer is not one."""


class Csv:
    """Reads and writes the rows of a CSV file."""

    tail = b""
    unit = "line"

    def __init__(self, source: Source, names: Names, told: Told, *, tabs: bool = False) -> None:
        """Read the header of an open input. Raises InputError if it is unusable."""
        self._source = self.content = source
        self.names = names
        self._told = told
        first, header = self._read_head()
        found = self._meant(header, delimiters(self._excels(first) or told, tabs))
        self._body = source.place
        survey = self._choose({one: len(_columns(one, header)) for one in found})
        self.dialect = survey.dialect
        self.columns = _columns(self.dialect, header)
        self.names = names = names.in_fields(self.columns)
        self._check_columns()
        self._end = b"\r\n" if header.endswith(b"\r\n") else b"\n"
        self.head = first + without_end(header) + self._added(*names.added)
        self.notes = tuple(self._notes(survey, ("\t" if tabs else ",")))

    def _read_head(self) -> tuple[bytes, bytes]:
        """The line before the header, if any, and the header."""
        lines = self._source.lines()
        line = next(lines, b"")
        first = line if _SEP.fullmatch(line.removeprefix(_BOM)) else b""
        if self._source.looks_wide:
            raise InputError(f"{self._source.name} is not UTF-8: {self._source.advice}")
        raw = b"".join(_until_row(lines if first else chain([line], lines)))
        try:
            text = raw.removeprefix(_BOM).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._source.name} is not {self._source.encoding or 'UTF-8'}: byte "
                f"{error.start} is {raw[error.start]:#04x}; {self._source.advice}"
            ) from error
        if not text.strip():
            raise nothing(self._source.name)
        return first, raw

    def _excels(self, first: bytes) -> Told | None:
        """The delimiter in Excel's ``sep=`` line, unless the user named one."""
        found = _SEP.fullmatch(first.removeprefix(_BOM))
        if found is None or self._told.delimiter is not None:
            return None
        return Told(found[1].decode("latin-1"), self._told.quote, self._told.escape)

    def _meant(self, header: bytes, marks: Sequence[str]) -> list[Dialect]:
        """The dialects in which the header has the named columns. Raises InputError."""
        every = candidates(self._told, marks)
        found = [one for one in every if self._will_do(_columns(one, header))]
        if found:
            return found
        there = max((_columns(dialect, header) for dialect in every), key=len)
        if not there:
            raise InputError(f"the header of {self._source.name} is not CSV: a quote is not closed")
        raise no_field(self._source.name, self.names, there)

    def _will_do(self, columns: list[str]) -> bool:
        return set(self.names.in_fields(columns).needed) <= {ROW, *columns}

    def _choose(self, found: dict[Dialect, int]) -> Survey:
        """The dialect that fits all rows; for a pipe, which can be read only once, the plainest."""
        if self._source.is_file:
            return choose(found, self._lines)
        return Survey(next(iter(found)))

    def _lines(self, start: Place | None = None) -> Iterator[Line]:
        """The lines from a place on, or from the first row on."""
        start = start or self._body
        if self._source.place != start:
            self._source.seek(start)
        for raw in self._source.lines():
            yield Line(raw, self._source.place)

    def _notes(self, survey: Survey, usual: str) -> Iterator[str]:
        """Notes on a dialect other than the plain default, and on suspicious rows."""
        yield from self._source.notes
        dialect, told = survey.dialect, self._told
        quote = '"' if told.quote is None else told.quote
        said = Dialect(told.delimiter or usual, quote, told.escape or "")

        if dialect != said:
            yield f"{self._source.name}: {dialect}; --delimiter, --quote and --escape say otherwise"
        if survey.doubtful:
            yield (
                f"{self._source.name}: line breaks that look like the ends of rows stand inside "
                f"quotes in {survey.doubtful:,} of its rows, the first on line {survey.line}; if "
                "those are rows, a quote is missing there, or --quote none is needed"
            )

    def _check_columns(self) -> None:
        for name in self.names.added:
            if name in self.columns:
                raise InputError(f"{self._source.name}: {already(name)}")
        twice = [name for name in self.names.read if self.columns.count(name) > 1]
        if twice:
            raise InputError(f"{self._source.name} has two columns named {twice[0]!r}")

    def done(self) -> tuple[int, int]:
        """How much is read, and the total, in bytes; 0 of 0 if that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""
        lines = self._lines(self._body if start == START else start)
        for lines_, cells, problem in self.dialect.rows(lines):
            raw = b"".join(line.raw for line in lines_)
            problem = problem or self._problem(raw, cells)
            fields = None if problem else {n: v or None for n, v in zip(self.columns, cells)}
            yield Row(lines_[0].after.line, lines_[-1].after, raw, fields, problem)

    def _problem(self, raw: bytes, cells: list[str]) -> str:
        if wrong := self._source.problem(raw):
            return wrong
        if len(cells) != len(self.columns):
            return f"it has {len(cells)} cells and the header {len(self.columns)}"
        return ""

    def result(self, partial: Path) -> Path:
        """The result: what has been written is already complete."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason for having none, and a line end."""
        start = without_end(row.raw)
        if row.fields is None:
            kept = self.dialect.kept(row.raw, len(self.columns))
            start = self.dialect.join(kept).encode("utf-8")
        return start + self._added(verdict or "", error)

    def _added(self, *cells: str) -> bytes:
        """The two added cells of a row, and its line end."""
        return self.dialect.join(["", *cells]).encode("utf-8") + self._end


def _columns(dialect: Dialect, header: bytes) -> list[str]:
    """The names in a header; empty if it is not a row."""
    lines = [Line(raw, START) for raw in header.removeprefix(_BOM).splitlines(keepends=True)]
    return next((row.cells for row in dialect.rows(lines)), [])


def _until_row(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of the first row; a quote that is open at a line's end continues on the next."""
    quotes = size = 0
    for line in lines:
        yield line
        quotes, size = quotes + line.count(b'"'), size + len(line)
        if (quotes % 2 == 0 and line.strip(_BOM + b"\r\n")) or size > _MOST:
            return
