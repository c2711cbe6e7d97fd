"""A wish to stop what is being judged, which any thread may have.

It is given to a call (``guard.check(text, cancel=...)``) and may be given to several. This module
knows nothing of models; edgeguard.session.thread makes the wish come true.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """Ends the calls that it was given to with CancelledError, those that come later too."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may cancel while its thread does
        self._cancelled = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop; from any thread, and as often as one likes."""
        with self._lock:
            self._cancelled = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` once if the wish comes in the block, or has come before it."""
        with self._lock:
            already = self._cancelled
            if not already:
                self._listeners.append(listener)
        if already:
            listener()
        try:
            yield
        finally:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)
