"""Detects the dialect of a CSV file by the options, the file's name, and all of its rows.

Each possible dialect is tried on the whole file, the plainest first. The first one in which every
row has as many cells as the header is chosen, or else the one with the fewest exceptions. This
module writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from edgeguard.batch.dialect import Dialect, Line
from edgeguard.errors import InputError

TAB = "\t"
_DELIMITERS = (",", ";", TAB, "|")
_UNQUOTED = (TAB, "|")
"""Delimiters of files without quoting. Not commas: a verdict is JSON, which contains them."""
_WORDS = {"tab": TAB, "\\t": TAB, "comma": ",", "semicolon": ";", "bar": "|", "none": ""}


@dataclass(frozen=True)
class Told:
    """The options for a CSV file; None if not given, empty for none."""

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None


@dataclass(frozen=True)
class Survey:
    """A file as read in one dialect.

    ``bad`` rows do not have the header's number of cells. ``doubtful`` ones span several lines,
    each of which would be a row if quotes were text; the first one starts on ``line``.
    """

    dialect: Dialect
    bad: int = 0
    doubtful: int = 0
    line: int = 0


def told(delimiter: str | None, quote: str | None, escape: str | None) -> Told:
    """The options as marks. Raises InputError for invalid ones."""
    found = Told(
        _mark("--delimiter", delimiter), _mark("--quote", quote), _mark("--escape", escape)
    )
    if found.delimiter == "":
        raise InputError("--delimiter is one character, or the word tab")
    marks = [mark for mark in (found.delimiter, found.quote, found.escape) if mark]
    if len(set(marks)) < len(marks):
        raise InputError("--delimiter, --quote and --escape are different characters")
    if found.quote == "" and found.delimiter == "," and not found.escape:
        raise InputError("--quote none needs another --delimiter: a verdict is JSON, with commas")
    return found


def candidates(said: Told, delimiters: Sequence[str]) -> list[Dialect]:
    """The possible dialects, the plainest first."""
    return [
        Dialect(delimiter, quote, escape)
        for delimiter in delimiters
        for quote, escape in product(
            _quotes(said, delimiter), ["", "\\"] if said.escape is None else [said.escape]
        )
        if quote or escape or delimiter != ","
    ]


def delimiters(said: Told, tabs: bool) -> Sequence[str]:
    """The possible delimiters; ``tabs``: the file's name says that it is a tab."""
    if said.delimiter is not None:
        return (said.delimiter,)
    return (TAB,) if tabs else _DELIMITERS


def choose(found: Mapping[Dialect, int], lines: Callable[[], Iterator[Line]]) -> Survey:
    """The dialect of a file, by all of its rows after the header.

    ``found`` are the possible dialects with their number of columns in the header; ``lines`` gives
    the lines from the first row on, each time it is called.
    """
    best: Survey | None = None
    for dialect, columns in found.items():
        survey = _survey(dialect, lines(), columns, None if best is None else best.bad)
        merges = best is not None and columns > 1 and _merges(best, survey)
        if best is None or survey.bad < best.bad or merges:
            best = survey
        if best.bad == best.doubtful == 0:
            break
    assert best is not None
    return best


def _merges(best: Survey, other: Survey) -> bool:
    """Whether stray quotes seem to merge rows that would be separate if quotes were text."""
    unquoted = Dialect(best.dialect.delimiter, "", best.dialect.escape)
    fits = other.bad <= best.bad and other.doubtful < best.doubtful
    return fits and other.dialect == unquoted


def _survey(dialect: Dialect, lines: Iterator[Line], columns: int, most: int | None) -> Survey:
    bad = doubtful = first = 0
    escaped = not dialect.escape
    for row in dialect.rows(lines):
        bad += len(row.cells) != columns
        escaped = escaped or dialect.escapes(row.raw)
        if len(row.lines) > 1 and _doubtful(dialect, row.lines, columns):
            doubtful += 1
            first = first or row.lines[0].after.line
        if most is not None and bad > most:
            break
    # If nothing is escaped, a backslash is a plain character.
    return Survey(dialect, bad if escaped else sys.maxsize, doubtful, first)


def _doubtful(dialect: Dialect, lines: Sequence[Line], columns: int) -> bool:
    """Whether each line of a row would be a row by itself, if quotes were text."""
    mark = dialect.delimiter.encode("utf-8")
    return bool(dialect.quote) and all(
        line.raw.count(mark) == columns - 1 and line.raw.strip() for line in lines
    )


def _quotes(said: Told, delimiter: str) -> list[str]:
    if said.quote is not None:
        return [said.quote]
    return ['"', ""] if delimiter in _UNQUOTED else ['"']


def _mark(option: str, text: str | None) -> str | None:
    """A character given as an option. Raises InputError."""
    if text is None:
        return None
    mark = _WORDS.get(text, text)
    if mark and (len(mark) != 1 or mark.isalnum() or mark in "\r\n\x00{}[]:"):
        words = "one character" if option == "--delimiter" else "one character, or none"
        raise InputError(f"{option} is {words}; {text!r} cannot be one")
    return mark
