"""What a person sees of a run: a progress bar or a line a minute, bad rows, counts.

All of it goes to stderr except the summary, which the caller prints. No text is ever shown. This
module does not run anything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from edgeguard.batch.judging import Outcome
from edgeguard.batch.tally import Tally
from edgeguard.console import note

_BAR = "{desc} {percentage:3.0f}% {bar}{postfix}, {remaining} left"
_NO_BAR = "{desc}{postfix}, {elapsed}"  # the length of a pipe is unknown
_LINE_SECONDS = 60.0


class Report:
    """Reports on one run, of one input or of several. Use it as a context manager."""

    def __init__(self, done: Callable[[], tuple[int, int]]) -> None:
        """``done`` returns how much is read, and the total; 0 of 0 if that is unknown."""
        self._done = done
        self._kept = ""
        self._bar: Any = None
        self._judged = 0
        self._earlier = 0
        self._ran = False
        self._started = self._said = time.monotonic()

    def reads(self, kept: str) -> None:
        """The next input begins; ``kept`` describes its safe rows if the run ends early."""
        self._kept = kept

    def begun(self, tally: Tally) -> None:
        """Start the clock and the bar, when the run starts or is resumed."""
        if not self._ran:
            self._ran = True
            self._started = self._said = time.monotonic()
        if tally.rows:
            self._say(f"going on after {_count(tally.rows, 'row')}")
        if self._bar is None and sys.stderr.isatty():
            self._bar = _open_bar(self._done())

    def ended(self, tally: Tally) -> None:
        """An input is finished."""
        self._earlier += tally.rows

    def row(self, outcome: Outcome, tally: Tally) -> None:
        """Report a bad row, and the progress."""
        if outcome.verdict is None:
            self._say(outcome.error)
        self._judged += 1
        rows = self._earlier + tally.rows
        if self._bar is not None:
            said = f"{_count(rows, 'row')}, {self._rate()}"
            self._bar.set_postfix_str(said, refresh=False)
            self._bar.update(self._done()[0] - self._bar.n)
        elif time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            done, total = self._done()
            share = f", {done / total:.0%} read" if total else ""
            note(f"{rows:,} rows{share}, {self._rate()}")

    def kept(self, rows: int) -> None:
        """Report what is left when the run ends early."""
        self._close()
        note(f"ended after {_count(rows, 'row')}{self._kept}")

    def summary(self, tally: Tally, policy: str) -> str:
        """The counts of the whole run, over all its parts."""
        rate = f", {self._rate()}" if self._ran else ""
        verdicts = tally.rows - tally.errors
        lines = [
            f"{_count(tally.rows, 'row')}: {_count(verdicts, 'verdict')} "
            f"({tally.repeated:,} for repeated texts), {_count(tally.errors, 'error')}{rate}",
            *(f"  {name:<30} {count:>11}" for name, count in tally.table(policy)),
        ]
        return "\n".join(lines)

    def _rate(self) -> str:
        rate = self._judged / max(time.monotonic() - self._started, 1e-9)
        return f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.2g} rows/s"

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        note(text)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _open_bar(read: tuple[int, int]) -> Any:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # without tqdm's own thread
    done, total = read
    form_of_bar = _BAR if total else _NO_BAR
    return tqdm(
        desc="Judging",
        initial=done,
        total=total or None,
        bar_format=form_of_bar,
        file=sys.stderr,
        dynamic_ncols=True,
    )
