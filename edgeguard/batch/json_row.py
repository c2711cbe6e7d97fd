"""A row of JSON: an object, kept as its bytes; the verdict goes before its last brace.

Anything else becomes an object with the reason and the original text. This module reads no file and
judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from edgeguard.batch.rows import Place, Row, already, no_field
from edgeguard.batch.source import MAX_LINE, Source
from edgeguard.conversation.rows import Names, has_field
from edgeguard.errors import InputError
from edgeguard.strict_json import unique_names, whole

FIRST = 100
"""Rows checked before the work begins, to detect a wrong file or field name."""
SPACE = b" \t\r\n"
_DEEP = "not JSON that can be read: it is nested too deeply"


def read_row(raw: bytes, number: int, after: Place, source: Source, names: Names) -> Row:
    """The row in some bytes of an input."""
    fields = None
    if not (problem := source.problem(raw)):
        try:
            fields = _parse(raw, names)
        except json.JSONDecodeError as error:
            problem = f"not JSON: {error.msg} at character {error.pos + 1}"
        except RecursionError:
            problem = _DEEP
        except ValueError as error:
            problem = str(error)
    return Row(number, after, raw, fields, problem)


def check_first(first: Sequence[Row], source: Source, names: Names, unit: str, form: str) -> Names:
    """Check the first rows, and find the fields left to guess. Raises InputError.

    ``form`` describes such a file in the error.
    """
    if all(row.fields is None and row.problem != _DEEP for row in first):
        problem = first[0].problem
        hint = f"; {form}" if problem.startswith("not JSON") else ""
        hint = f"; {source.advice}" if problem.startswith("not UTF-8") else hint
        raise InputError(f"{source.name}, {unit} {first[0].number}: {problem}{hint}")
    if all(row.fields is None for row in first):
        return names
    there = dict.fromkeys(name for row in first for name in row.fields or ())
    names = names.in_fields(there)
    if not all(has_field(there, name) for name in names.needed):
        raise no_field(source.name, names, there)
    return names


def encoded(row: Row, names: Names, verdict: str | None, error: str) -> bytes:
    """The row with a verdict (as JSON) or with the reason for having none."""
    added = [(names.verdict, verdict or "null")]
    if verdict is None:
        added.append((names.error, quoted(error)))
    if row.fields is None and len(row.raw) <= MAX_LINE:
        added.append((names.row, quoted(row.raw.decode("utf-8", "backslashreplace"))))
    return _with(row, added)


def _with(row: Row, added: Iterable[tuple[str, str]]) -> bytes:
    text = ", ".join(f"{quoted(name)}: {value}" for name, value in added)
    start = b"{" if row.fields is None else row.raw[:-1].rstrip(SPACE)
    comma = b", " if row.fields else b""
    return start + comma + text.encode("utf-8") + b"}"


def quoted(text: str) -> str:
    """A text as JSON."""
    return json.dumps(text, ensure_ascii=False)


def _parse(raw: bytes, names: Names) -> dict[str, object]:
    if len(raw) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE >> 20} MiB: the file is not made of lines")
    # The row keeps its bytes, so NaN and very long numbers in it do no harm.
    parsed = json.loads(raw.decode("utf-8"), object_pairs_hook=unique_names, parse_int=whole)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object with fields")
    if there := [name for name in names.added if name in parsed]:
        raise ValueError(already(there[0]))
    return parsed
