"""Plain text, one text per line. The result is JSONL, since such a line has no place for a verdict.

Lines without a visible character are not rows. This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from edgeguard.batch.dialect import without_end
from edgeguard.batch.rows import Place, Row, already
from edgeguard.batch.source import MAX_LINE, Source
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError

_BOM = b"\xef\xbb\xbf"


class Text:
    """Reads lines as prompts, and writes them as JSONL."""

    head = tail = b""
    unit = "line"

    def __init__(self, source: Source, names: Names) -> None:
        """Read from an open input. Raises InputError if it is unusable."""
        if names.messages is not None or names.response is not None:
            raise InputError(
                "a .txt file has a text on each line and no fields: --messages-field and "
                "--response-field are for JSONL, CSV and Parquet"
            )
        if names.text in names.added:
            raise InputError(already(names.text))
        self._source = self.content = source
        self.names = names
        if source.looks_wide:
            raise InputError(f"{source.name} is not UTF-8 text: {source.advice}")
        self.notes = tuple(source.notes)

    def done(self) -> tuple[int, int]:
        """How much is read, and the total, in bytes; 0 of 0 if that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError if the file cannot be read."""
        if start != self._source.place:
            self._source.seek(start)
        for line in self._source.lines():
            place = self._source.place
            raw = without_end(line.removeprefix(_BOM) if place.line == 1 else line)
            if raw.strip():
                yield self._row(raw, place)

    def _row(self, raw: bytes, place: Place) -> Row:
        problem = self._source.problem(raw)
        if len(raw) > MAX_LINE:
            problem = f"longer than {MAX_LINE >> 20} MiB: the file is not made of lines"
        fields = None if problem else {self.names.text: raw.decode("utf-8")}
        return Row(place.line, place, raw, fields, problem)

    def result(self, partial: Path) -> Path:
        """The result: what has been written is already complete."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The text as an object with its verdict, or with the reason for having none."""
        text = row.raw[:MAX_LINE].decode("utf-8", "backslashreplace")
        start = json.dumps({self.names.text: text}, ensure_ascii=False)[:-1]
        verdict_name, error_name = (json.dumps(name) for name in self.names.added)
        said = f", {error_name}: {json.dumps(error)}" if verdict is None else ""
        return f"{start}, {verdict_name}: {verdict or 'null'}{said}}}\n".encode()
