"""JSONL: one JSON object a line. A row keeps its bytes; the verdict goes before its last brace.

Empty lines are no rows. A line that is no row is written as an object that says why, with the line
as a text in it. This module judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from edgeguard.batch.rows import START, Place, Row, already, no_field, nothing
from edgeguard.batch.source import MAX_LINE, Source
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError
from edgeguard.strict_json import unique_names, whole

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_DEEP = "not JSON that can be read: it is nested too deeply"
_FIRST = 100
"""Rows that are looked at before the work begins: a wrong file or a wrong name shows in them."""


class Jsonl:
    """Reads and writes the rows of a JSONL file."""

    head = b""
    unit = "line"

    def __init__(self, source: Source, names: Names) -> None:
        """Read from an open input. Raises InputError where none of its first rows will do."""
        self._source = self.content = source
        self._names = names
        if source.is_file:
            self._check_first_rows()
        self.notes = tuple(source.notes)

    def _check_first_rows(self) -> None:
        """See that the file is JSONL with the named fields before the work begins."""
        first = list(islice(self.rows(START), _FIRST))
        self._source.seek(START)
        if not first:
            raise nothing(self._source.name)
        if all(row.fields is None and row.problem != _DEEP for row in first):
            problem = first[0].problem
            hint = (
                "; JSONL has one JSON object on each line" if problem.startswith("not JSON") else ""
            )
            hint = f"; {self._source.advice}" if problem.startswith("not UTF-8") else hint
            raise InputError(f"{self._source.name}, line {first[0].number}: {problem}{hint}")
        if all(row.fields is None for row in first):
            return
        there = dict.fromkeys(name for row in first for name in row.fields or ())
        if not set(self._names.needed) <= set(there):
            raise no_field(self._source.name, self._names, there)

    def _hint(self, problem: str) -> str:
        if self._source.looks_wide:
            return f"; {self._source.advice}"
        if problem.startswith(("not JSON", "not a JSON")):
            return "; JSONL has one JSON object on each line"
        return f"; {self._source.advice}" if problem.startswith("not UTF-8") else ""

    def done(self) -> tuple[int, int]:
        """How much is read, and how much there is, in bytes; 0 of 0 where that is unknown."""
        return self._source.done, self._source.size

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from a place on. Raises InputError where the file cannot be read."""
        if start != self._source.place:
            self._source.seek(start)
        for line in self._source.lines():
            place = self._source.place
            if place.line == 1:
                line = line.removeprefix(_BOM)
            if raw := line.strip(_SPACE):
                yield self._row(raw, place)

    def _row(self, raw: bytes, place: Place) -> Row:
        fields = None
        if not (problem := self._source.problem(raw)):
            try:
                fields = _parse(raw, self._names)
            except json.JSONDecodeError as error:
                problem = f"not JSON: {error.msg} at character {error.pos + 1}"
            except RecursionError:
                problem = _DEEP
            except ValueError as error:
                problem = str(error)
        return Row(place.line, place, raw, fields, problem)

    def result(self, partial: Path) -> Path:
        """The result: it is what has been written."""
        return partial

    def encode(self, row: Row, verdict: str | None, error: str) -> bytes:
        """The row with a verdict (as JSON) or with the reason why it has none, and a line end."""
        added = [(self._names.verdict, verdict or "null")]
        if verdict is None:
            added.append((self._names.error, _quoted(error)))
        if row.fields is None and len(row.raw) <= MAX_LINE:
            kept = row.raw.decode("utf-8", "backslashreplace")
            added.append((self._names.row, _quoted(kept)))
        text = ", ".join(f"{_quoted(name)}: {value}" for name, value in added)
        start = b"{" if row.fields is None else row.raw[:-1].rstrip(_SPACE)
        comma = b", " if row.fields else b""
        return start + comma + text.encode("utf-8") + b"}\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _parse(raw: bytes, names: Names) -> dict[str, object]:
    if len(raw) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE >> 20} MiB: the file is not made of lines")
    # Only the bytes of numbers are kept: NaN may be one, and very long ones.
    parsed = json.loads(raw.decode("utf-8"), object_pairs_hook=unique_names, parse_int=whole)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object with fields")
    if there := [name for name in names.added if name in parsed]:
        raise ValueError(already(there[0]))
    return parsed
