"""Ctrl-C and SIGTERM: judging a row is cancelled, writing a row is finished.

This module does not know what a row is.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from edgeguard.cancellation import Cancellation

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the user has asked to stop; ``cancel`` is given to the checks.

    A second Ctrl-C does not wait for the row that is being written.
    """

    def __init__(self) -> None:
        self._busy = False
        self._asked = False
        self.cancel = Cancellation()

    def between(self, items: Iterable[T]) -> Iterator[T]:
        """The items; KeyboardInterrupt comes only between two, or while waiting for one."""
        iterator = iter(items)
        while not self._asked:
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._busy = True
            yield item
            self._busy = False
        raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals; restore the old handlers afterwards. In the main thread only."""
        before = [signal.signal(number, self._ask) for number in _SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(_SIGNALS, before):
                signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if not self._busy or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self.cancel.cancel()
