"""The terminal: UTF-8 on any console, colour only where it is wanted, notes on stderr.

Results go to stdout, everything else to stderr. This module does not know what it prints.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

Progress = Callable[[int, int], None]
"""Called with the amount done and the total, in the same unit (usually bytes)."""


class Meter:
    """Counts towards ``total`` and reports how much is done at each advance."""

    def __init__(self, total: int, report: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._report = report

    def advance(self, count: int) -> None:
        """Count ``count`` more as done; never beyond the total."""
        self._done = min(self._done + count, self._total)
        if self._report is not None:
            self._report(self._done, self._total)


def open_streams() -> None:
    """Make sure that the three standard streams are open, even if the parent closed them.

    Otherwise the next file to be opened would get the number of a closed stream, and error messages
    would be written into that file. A closed stdin reads as empty and a closed stderr discards what
    is written; writing results to a closed stdout must fail, as it does when the reader has gone.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_stream(number)


def _open_stream(number: int) -> None:
    if number != 1:
        # open() takes the lowest free number, and all lower ones are open by now
        found = os.open(os.devnull, os.O_RDWR)
        assert found == number
    else:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        for end in {reader, writer} - {1}:
            os.close(end)
    if number == 0:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    elif number == 1:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    else:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def settle(stream: TextIO) -> OSError | None:
    """Flush a stream; if that fails, drop what it holds and return the error.

    Otherwise the interpreter would try again when it exits, and use an exit code of its own.
    """
    try:
        stream.flush()
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error if isinstance(error, OSError) else OSError(str(error))
    return None


def use_utf8() -> None:
    """Write UTF-8 whatever the console's encoding is; no character may cause an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def note(text: str) -> None:
    """Tell the person something on stderr, with the program's name in front; see say."""
    say(f"edgeguard: {text}")


def say(text: str) -> None:
    """Write to stderr. If it is full, closed or gone, nothing is written and nothing fails."""
    import click  # imported here, so that `import edgeguard` does not load it

    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def colour_wanted(stream: TextIO) -> bool:
    """Use colour only on a terminal, and only if NO_COLOR is not set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Columns of standard output; lines are not wrapped if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar on stderr; nothing is shown if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    import click

    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=False) as bar:

        def update(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield update
