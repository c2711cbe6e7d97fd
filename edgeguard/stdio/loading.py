"""One guard for all requests, loaded by the first that needs it, in a thread of its own.

A request that waits for the guard can be cancelled or reach its deadline. If all requests have
left, the load is stopped; if it fails, the next request tries again. This module does not know how
a guard is made or used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgeguard.cancellation import Cancellation
from edgeguard.errors import (
    CancelledError,
    ClosedError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.guard import Guard

_END_SECONDS = 5.0
"""How long the end of the process waits for a load that was told to stop."""


class _Attempt:
    """A load that is running, and how many requests wait for it."""

    def __init__(self) -> None:
        self.cancel = Cancellation()
        self.waiting = 0
        self.guard: Guard | None = None
        self.error: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.guard is not None or self.error is not None


class SharedGuard:
    """A guard that is loaded by the first ``get``."""

    def __init__(self, load: Callable[[Cancellation], Guard]) -> None:
        self._load = load
        self._changed = threading.Condition()
        self._one = threading.Lock()  # two loads at once would take twice the memory
        self._guard: Guard | None = None
        self._attempt: _Attempt | None = None
        self._closed = False

    @property
    def loaded(self) -> Guard | None:
        """The guard, if it is loaded already."""
        return self._guard

    def get(self, cancel: Cancellation, deadline: float | None = None) -> Guard:
        """Wait for the guard until the deadline, a time of ``time.monotonic()``.

        Raises what loading raises, CancelledError, TimeoutError; ClosedError after ``close``.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("the model is not loaded any more: the process is ending")
            if self._guard is not None:
                return self._guard
            attempt = self._attempt = self._attempt or self._begin()
            attempt.waiting += 1
        try:
            with cancel.heard_by(self._wake):
                return self._wait(attempt, cancel, deadline)
        finally:
            self._leave(attempt)

    def close(self) -> None:
        """Stop a load that is running, and free the model."""
        with self._changed:
            self._closed = True
            attempt = self._attempt
        if attempt is not None:
            attempt.cancel.cancel()
            with self._changed:
                self._changed.wait_for(lambda: attempt.is_done, _END_SECONDS)
        if self._guard is not None:
            self._guard.close()

    def _begin(self) -> _Attempt:
        attempt = _Attempt()
        threading.Thread(
            target=self._run, args=(attempt,), name="edgeguard-load", daemon=True
        ).start()
        return attempt

    def _run(self, attempt: _Attempt) -> None:
        guard, error = None, None
        with self._one:
            try:
                guard = self._load(attempt.cancel)
            except Exception as failed:
                error = failed
        with self._changed:
            attempt.guard, attempt.error = guard, error
            wanted = self._attempt is attempt and not self._closed
            if wanted:
                self._guard, self._attempt = guard, None
            self._changed.notify_all()
        if guard is not None and not wanted:
            guard.close()

    def _wait(self, attempt: _Attempt, cancel: Cancellation, deadline: float | None) -> Guard:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: attempt.is_done or cancel.cancelled, left)
            if cancel.cancelled:
                raise CancelledError("the request was cancelled before the model was loaded")
            if attempt.guard is not None:
                return attempt.guard
            if attempt.error is not None:
                raise attempt.error
            raise TimeoutError("the model was not loaded in the time that the request was given")

    def _leave(self, attempt: _Attempt) -> None:
        with self._changed:
            attempt.waiting -= 1
            abandoned = attempt.waiting == 0 and not attempt.is_done
            if abandoned and self._attempt is attempt:
                self._attempt = None  # the next request begins another one
        if abandoned:
            attempt.cancel.cancel()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
