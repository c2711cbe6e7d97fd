"""The one thread that touches a model, and the queue of calls to it.

Everything native runs in this thread, from load to free, while the callers wait. This has four
benefits. A caller can leave in the middle of a computation (time limit, cancellation, Ctrl-C): the
stop flag ends it some milliseconds later. A signal's exception never lands in a callback of
llama.cpp, since Python raises it in the main thread. A forked child can load a model of its own,
since OpenMP's thread pool belongs to the thread that computes, which the child does not have. And
memory is never freed during a computation, since the same thread does both.

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
        """``flag`` stops the computation of a function.

        ``idle``: a function, and after how many seconds without work the thread shall call it.
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
        """Call the function in the thread; returns or raises what it does.

        ``deadline`` is a time of ``time.monotonic()``. Raises CancelledError, TimeoutError,
        ClosedError, and SessionError in a forked child.
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
        """End the thread after the running call; the calls that wait end with ClosedError.

        ``last`` is called at the very end. ``abort``: stop the running call as well. Does nothing
        in a forked child, which does not have the thread.
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
        # Before taking any lock: a fork may have copied it in its locked state.
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
            del job  # the result belongs to the caller alone
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
        """Wait for work; if none comes for long enough, call the idle function."""
        with self._condition:
            if self._condition.wait_for(lambda: self._closed or self._waiting, seconds):
                return
        function()  # without the lock, so that new callers can queue up


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
        """Wait; returns whether it was done by the deadline."""
        if deadline is not None:
            return self._done.wait(max(0.0, deadline - time.monotonic()))
        # On Windows, Ctrl-C does not interrupt a wait without a time limit.
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
