"""The terminal: UTF-8 on any console, colour only where it is wanted, notes on stderr.

Results go to stdout, everything else to stderr. This module does not know what it prints.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is, in the same unit (bytes, usually)."""


class Meter:
    """Counts towards ``total`` and reports how much is done at each advance."""

    def __init__(self, total: int, report: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._report = report

    def advance(self, count: int) -> None:
        """Note that ``count`` more are done; never more than the total."""
        self._done = min(self._done + count, self._total)
        if self._report is not None:
            self._report(self._done, self._total)


def use_utf8() -> None:
    """Write UTF-8 whatever the console's encoding is, and never fail on a character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def note(text: str) -> None:
    """Say something to the person, on stderr, with the program's name in front."""
    click.echo(f"edgeguard: {text}", err=True)


def colour_wanted(stream: TextIO) -> bool:
    """Colour goes to terminals only, and not where NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Columns of standard output; without a terminal there is no end to a line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar on stderr; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=False) as bar:

        def update(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield update
