"""A way to stop calls that are running, from any thread.

A Cancellation is given to a call (``guard.check(text, cancel=...)``), or to several. This module
knows nothing of models; edgeguard.session.thread stops the computation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancellation:
    """Ends the calls that were given it, and all later ones, with CancelledError."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # reentrant: a signal handler may cancel too
        self._cancelled = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop the calls. May be called from any thread, and more than once."""
        with self._lock:
            self._cancelled = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` once if ``cancel`` is called within the block, or was called before."""
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
