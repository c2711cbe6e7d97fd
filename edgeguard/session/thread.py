"""The one thread that touches a model, and the calls that wait for it in order.

Everything native runs here, from load to free, and the callers wait. So a caller can leave in the
middle of a computation (a time limit, a cancellation, Ctrl-C): the stop flag ends it some
milliseconds later. A signal's exception never lands in a callback of llama.cpp, since Python
raises it in the main thread. A child that was forked can load a model of its own, since OpenMP's
pool belongs to the thread that computes, and that thread is not in the child. And no memory is
freed under a computation, since the same thread does both.

This module knows nothing of texts and calls nothing of llama.cpp.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from edgeguard.cancellation import Cancellation
from edgeguard.errors import (
    CancelledError,
    ClosedError,
    EdgeguardError,
    SessionError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.session.stop_flag import StopFlag

T = TypeVar("T")

_EXIT_SECONDS = 30.0
"""How long the end of a process waits for a computation that was told to stop."""


class ModelThread:
    """Runs functions one after the other, first come, first served."""

    def __init__(
        self, flag: StopFlag, idle: tuple[float, Callable[[], None]] | None = None
    ) -> None:
        """``flag`` is the one that stops what the functions compute.

        ``idle`` is a function that the thread calls by itself each time that it has had nothing to
        do for so many seconds.
        """
        self._flag = flag
        self._process = os.getpid()
        self._condition = threading.Condition()
        self._waiting: deque[_Job[Any]] = deque()
        self._running: _Job[Any] | None = None
        self._last: Callable[[], None] | None = None
        self._closed = False
        self._idle = idle
        self._thread = threading.Thread(target=self._work, name="edgeguard-model", daemon=True)
        self._thread.start()

    def run(
        self,
        function: Callable[[], T],
        *,
        cancel: Cancellation | None = None,
        deadline: float | None = None,
    ) -> T:
        """What the function returns or raises, called in the thread.

        ``deadline`` is a time of ``time.monotonic()``. Raises CancelledError, TimeoutError; and
        ClosedError; SessionError in a forked child.
        """
        self._check_process()
        job = _Job(function)
        listening = cancel.heard_by(lambda: self._give_up(job, _cancelled())) if cancel else None
        self._put(job)
        try:
            with listening or nullcontext():
                if not job.wait(deadline):
                    self._give_up(job, _late())
                job.wait(None)
        except BaseException:  # Ctrl-C
            self._give_up(job, _cancelled())
            job.wait(None)
            raise
        return job.outcome()

    def stop(self, last: Callable[[], None] | None = None, *, abort: bool = False) -> None:
        """End the thread after the call that runs; what waits ends with ClosedError.

        ``last`` is what it does at the very end. ``abort``: stop the call that runs as well. In a
        forked child, where the thread is not, nothing happens.
        """
        if self._process != os.getpid():
            return
        with self._condition:
            if not self._closed:
                self._closed, self._last = True, last
            if abort and self._running is not None:
                self._running.reason = self._running.reason or _closed()
                self._flag.set()
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(_EXIT_SECONDS if abort else None)

    def _check_process(self) -> None:
        # Before any lock: it may have been copied locked.
        if self._process != os.getpid():
            raise SessionError(
                "this guard was made in another process, and a model does not survive a fork: "
                "make a guard in each process"
            )

    def _put(self, job: _Job[Any]) -> None:
        with self._condition:
            if self._closed:
                raise _closed()
            self._waiting.append(job)
            self._condition.notify_all()

    def _give_up(self, job: _Job[Any], reason: EdgeguardError) -> None:
        with self._condition:
            if job.is_done or job.reason is not None:
                return
            job.reason = reason
            if job is self._running:
                self._flag.set()
            elif job in self._waiting:
                self._waiting.remove(job)
                job.finish()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.call()
            finally:
                with self._condition:
                    self._running = None
                    self._flag.clear()
                    job.finish()
            del job  # what it returned belongs to the caller alone
        if self._last is not None:
            self._last()

    def _next(self) -> _Job[Any] | None:
        if self._idle is not None:
            self._rest(*self._idle)
        with self._condition:
            while not self._closed and not self._waiting:
                self._condition.wait()
            if self._closed:
                for job in self._waiting:
                    job.reason = job.reason or _closed()
                    job.finish()
                self._waiting.clear()
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _rest(self, seconds: float, function: Callable[[], None]) -> None:
        """Return when something is to be done; call the function where nothing was for so long."""
        with self._condition:
            if self._condition.wait_for(lambda: self._closed or self._waiting, seconds):
                return
        function()  # without the lock: who comes now waits in line


class _Job(Generic[T]):
    """A function on its way through the thread; ``reason`` says why its caller gave it up."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function: Callable[[], T] | None = function
        self._done = threading.Event()
        self._result: T
        self._error: BaseException | None = None
        self.reason: EdgeguardError | None = None

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def call(self) -> None:
        assert self._function is not None
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    def finish(self) -> None:
        self._function = None
        self._done.set()

    def wait(self, deadline: float | None) -> bool:
        """Whether it was done by the deadline."""
        if deadline is not None:
            return self._done.wait(max(0.0, deadline - time.monotonic()))
        # Windows does not interrupt a wait without an end by Ctrl-C.
        while not self._done.wait(0.1 if os.name == "nt" else None):
            pass
        return True

    def outcome(self) -> T:
        if self.reason is not None:
            raise self.reason from self._error
        if self._error is not None:
            raise self._error
        return self._result


def _cancelled() -> CancelledError:
    return CancelledError("the check was cancelled before there was a verdict")


def _late() -> TimeoutError:
    return TimeoutError(
        "the text was not judged in the time it was given: give it more time, or a shorter text"
    )


def _closed() -> ClosedError:
    return ClosedError("the guard is closed: make a new one")
