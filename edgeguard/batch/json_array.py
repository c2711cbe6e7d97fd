"""A JSON array of rows, as pandas' ``to_json(orient="records")`` and many exports write it.

The result is an array too, with one row on each line. A row keeps its bytes; see
edgeguard.batch.json_row. This module judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from edgeguard.batch.elements import Elements
from edgeguard.batch.json_row import FIRST, check_first, encoded, read_row
from edgeguard.batch.rows import START, Place, Row, nothing
from edgeguard.batch.source import MAX_LINE, Source
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError

_BOM = b"\xef\xbb\xbf"
_FORM = "such a file is an array of objects, as [{…}, {…}]"


class JsonArray:
    """Reads and writes the rows of a JSON array. The line of a place counts rows."""

    head, tail = b"[\n", b"\n]\n"
    unit = "row"

    def __init__(self, source: Source, names: Names) -> None:
        """Read from an open input. Raises InputError if its first rows are unusable."""
        self._source = self.content = source
        self.names = names
        if source.looks_wide:
            raise InputError(f"{source.name} is not UTF-8: {source.advice}")
        if source.is_file:
            first = list(islice(self.rows(START), FIRST))
            source.seek(START)
            if not first:
                raise nothing(source.name)
            self.names = check_first(first, source, names, self.unit, _FORM)
        self.notes = tuple(source.notes)

    def done(self) -> tuple[int, int]:
        """How much is read, and the total, in bytes; 0 of 0 if that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""
        if start != self._source.place:
            self._source.seek(start)
        number = start.line
        found = iter(Elements(self._chunks(), start.offset, MAX_LINE))
        while True:
            try:
                element = next(found, None)
            except InputError as error:
                raise InputError(f"{self._source.name}: {error}; {self._advice()}") from error
            if element is None:
                return
            number += 1
            after = Place(element.after, number)
            if element.problem:
                yield Row(number, after, element.raw, None, element.problem)
            else:
                yield read_row(element.raw, number, after, self._source, self.names)

    def _chunks(self) -> Iterator[bytes]:
        """The bytes from here on, without a byte order mark at their start."""
        first = self._source.place == START
        for chunk in self._source.chunks():
            yield b"   " + chunk[3:] if first and chunk.startswith(_BOM) else chunk
            first = False

    def _advice(self) -> str:
        return "one JSON object on each line is --format jsonl; one conversation is for check"

    def result(self, partial: Path) -> Path:
        """The result: what has been written is already complete."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason for having none."""
        between = b"" if row.number == 1 else b",\n"
        return between + encoded(row, self.names, verdict, error)
