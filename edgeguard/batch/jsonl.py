"""JSONL: one JSON object a line. A row keeps its bytes; see edgeguard.batch.json_row.

Empty lines are not rows. This module judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from edgeguard.batch.json_row import FIRST, SPACE, check_first, encoded, read_row
from edgeguard.batch.rows import START, Place, Row, nothing
from edgeguard.batch.source import Source
from edgeguard.conversation.rows import Names

_BOM = b"\xef\xbb\xbf"
_FORM = "JSONL has one JSON object on each line"


class Jsonl:
    """Reads and writes the rows of a JSONL file."""

    head = tail = b""
    unit = "line"

    def __init__(self, source: Source, names: Names) -> None:
        """Read from an open input. Raises InputError if its first rows are unusable."""
        self._source = self.content = source
        self.names = names
        if source.is_file:
            self._check_first_rows()
        self.notes = tuple(source.notes)

    def _check_first_rows(self) -> None:
        """Check that the file is JSONL with the named fields before the work begins."""
        first = list(islice(self.rows(START), FIRST))
        self._source.seek(START)
        if not first:
            raise nothing(self._source.name)
        self.names = check_first(first, self._source, self.names, self.unit, _FORM)

    def done(self) -> tuple[int, int]:
        """How much is read, and the total, in bytes; 0 of 0 if that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""
        if start != self._source.place:
            self._source.seek(start)
        for line in self._source.lines():
            place = self._source.place
            if place.line == 1:
                line = line.removeprefix(_BOM)
            if raw := line.strip(SPACE):
                yield read_row(raw, place.line, place, self._source, self.names)

    def result(self, partial: Path) -> Path:
        """The result: what has been written is already complete."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason for having none, and a line end."""
        return encoded(row, self.names, verdict, error) + b"\n"
