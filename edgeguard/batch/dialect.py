"""The dialect of a CSV file: its delimiter, quote and escape characters.

Splits lines into rows of cells with Python's csv, and writes cells as the file does.
edgeguard.batch.layout detects the dialect. This module reads no file.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from edgeguard.batch.rows import Place

MAX_CELL = 16 << 20
"""The most characters of a cell; a longer one comes from a quote that was never closed."""
# a character that decoding never gives; stands for MySQL's \N while a line is split
_NULL = "\udfff"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


class Line(NamedTuple):
    """A line with its end, and the place after it."""

    raw: bytes
    after: Place


class Split(NamedTuple):
    """The lines of a row and its cells, or the problem that left one line without cells."""

    lines: list[Line]
    cells: list[str]
    problem: str

    @property
    def raw(self) -> bytes:
        """The row as it was read."""
        return b"".join(line.raw for line in self.lines)


@dataclass(frozen=True)
class Dialect:
    """How cells are written; without ``quote`` or ``escape``, these characters are text."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""

    def rows(self, lines: Iterable[Line]) -> Iterator[Split]:
        """The rows of lines. If a quote is never closed, its line is a row of its own."""
        csv.field_size_limit(MAX_CELL)  # a setting of the whole process; its default is 128 KiB
        taken: list[Line] = []
        again: deque[Line] = deque()
        rest = iter(lines)
        reader = csv.reader(self._texts(rest, taken, again), **self._form)
        while True:
            taken.clear()
            try:
                cells = ["" if cell == _NULL else cell for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                again.extendleft(reversed(taken[1:]))
                del taken[1:]
                reader = csv.reader(self._texts(rest, taken, again), **self._form)
                yield Split(list(taken), [], f"not CSV: {error}")
            else:
                if cells:
                    yield Split(list(taken), cells, "")

    def _texts(self, lines: Iterator[Line], taken: list[Line], again: deque[Line]) -> Iterator[str]:
        """The lines as text; their bytes are kept until a whole row is made of them."""
        while True:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield self._text(line.raw.decode("utf-8", "surrogateescape"))

    def _text(self, line: str) -> str:
        return self._null.sub(_NULL, line) if self.escape and "\\N" in line else line

    @cached_property
    def _null(self) -> re.Pattern[str]:
        mark = re.escape(self.delimiter)
        return re.compile(rf"(?:^|(?<={mark}))\\N(?={mark}|\r?\n|$)")

    @property
    def _form(self) -> dict[str, Any]:
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape or None,
            "strict": True,
        }

    def escapes(self, raw: bytes) -> bool:
        """Whether a row has an escape that has a meaning in this dialect."""
        if self.escape.encode("utf-8") not in raw:
            return False
        text = raw.decode("utf-8", "replace")
        return any(
            self.escape + mark in text for mark in (self.quote, self.delimiter, "\n") if mark
        )

    def join(self, cells: Iterable[str]) -> str:
        """Cells as this dialect writes them, without a line end."""
        return self.delimiter.join(self.cell(cell) for cell in cells)

    def cell(self, text: str) -> str:
        """A cell as this dialect writes it, quoted if necessary."""
        special = {self.delimiter, self.quote, self.escape, "\r", "\n"} - {""}
        if not any(mark in text for mark in special):
            return text
        if self.quote:
            text = text.replace(self.escape, self.escape * 2) if self.escape else text
            doubled = (self.escape or self.quote) + self.quote
            return self.quote + text.replace(self.quote, doubled) + self.quote
        if self.escape:
            return "".join(self.escape + mark if mark in special else mark for mark in text)
        return "".join(_written(mark) if mark in special else mark for mark in text)

    def kept(self, raw: bytes, count: int) -> list[str]:
        """A line that is not a row, with all its text, as so many cells.

        Undecodable bytes become ``\\xNN``; surplus cells are joined to the last.
        """
        text = without_end(raw).decode("utf-8", "backslashreplace")
        split = list(self.rows([Line(text.encode("utf-8"), Place())]))
        cells = text.split(self.delimiter)
        if len(split) == 1 and not split[0].problem:
            cells = split[0].cells
        if len(cells) > count:
            cells[count - 1 :] = [self.delimiter.join(cells[count - 1 :])]
        return cells + [""] * (count - len(cells))

    def __str__(self) -> str:
        between = _NAMES.get(self.delimiter, repr(self.delimiter))
        quotes = "quotes are text" if not self.quote else ""
        if self.quote and self.quote != '"':
            quotes = f"cells quoted by {self.quote}"
        escapes = f"{self.escape} escapes" if self.escape else ""
        return ", ".join(filter(None, (f"cells separated by {between}", quotes, escapes)))


def without_end(raw: bytes) -> bytes:
    """A line without its line end."""
    return raw.removesuffix(b"\n").rstrip(b"\r")


def _written(mark: str) -> str:
    """A character that an unquoted cell cannot contain, as JSON writes it."""
    return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(mark, f"\\u{ord(mark):04x}")
