"""The one thread that asks the model, for callers in any event loop.

The thread loads the guard, asks it two test questions, and then takes jobs from a queue in turn,
one window each (edgeguard.worker.queue, .job). When a caller leaves, its job is stopped at once,
even in the middle of a window. If the guard fails on a text, it is asked the test questions again;
if it fails them too, the worker has failed and stays so.

    loading ──▶ ready ──▶ failed
       └──────────┴─────▶ stopped

This module knows nothing of HTTP, and makes no verdict.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

from edgeguard.cancellation import Cancellation
from edgeguard.errors import (
    CancelledError,
    EdgeguardError,
    ModelError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.guard import Guard
from edgeguard.self_test import self_test
from edgeguard.verdict import Verdict
from edgeguard.worker.company import answer_together, most_of
from edgeguard.worker.job import Job, Text
from edgeguard.worker.limits import TIMEOUT, Limits
from edgeguard.worker.queue import NotReadyError, Queue, Waiter

T = TypeVar("T")
State = Literal["loading", "ready", "failed", "stopped"]

_logger = logging.getLogger(__name__)

_PROBE = [{"role": "user", "content": "What is the capital of France?"}]
_LEAST_TOKENS = 1000
"""The least token limit of a job, so that even a slow machine accepts a short text."""


class Worker:
    """Judges the texts of jobs, one window at a time."""

    def __init__(
        self,
        load: Callable[[Cancellation], Guard],
        *,
        places: int | None = None,
        timeout: float | None = TIMEOUT,
        max_tokens: int | None = None,
        together: bool = False,
        on_ready: Callable[[Guard], None] = lambda _guard: None,
        on_failure: Callable[[EdgeguardError], None] = lambda _error: None,
    ) -> None:
        """``load`` is called in the thread; ``places`` is how many jobs may wait, None for any.

        ``timeout`` is how many seconds of computing a job may have, None for any; ``max_tokens``
        how many tokens, None for what the model reads in that time. ``together``: short texts
        that wait share passes; see edgeguard.worker.company. ``on_ready`` and ``on_failure``
        are called in the thread too: the first after the test verdicts, the second if the model
        could not be loaded or failed the test.
        """
        self._load = load
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._max_tokens = max_tokens
        self._together = together
        self._loading = Cancellation()
        self._aborted = Cancellation()
        self._loaded: Future[None] = Future()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._state: State = "loading"
        self._reason = "the model is being loaded"
        self._thread = threading.Thread(target=self._run, name="edgeguard-worker", daemon=True)
        self.queue = Queue(places)
        self.limits = Limits(max_tokens or math.inf, timeout or math.inf)
        self.guard: Guard | None = None
        self.error: EdgeguardError | None = None

    @property
    def state(self) -> State:
        """The current state of the worker."""
        return self._state

    @property
    def reason(self) -> str:
        """Why the worker is not ready; empty if it is."""
        return self._reason

    @property
    def depth(self) -> int:
        """How many jobs wait."""
        return self.queue.depth

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to load the model; does nothing if called again, or after ``stop``."""
        with self._lock:
            if self._state == "loading" and self._thread.ident is None:
                self._thread.start()

    async def ready(self, deadline: float | None = None) -> Guard:
        """Wait for the guard, which has then passed its test.

        Raises NotReadyError if it never will, TimeoutError if it has not by the deadline.
        """
        if not self._loaded.done():
            loaded = asyncio.wrap_future(self._loaded)
            await asyncio.wait({loaded}, timeout=_until(deadline))
            if not loaded.done():
                raise _late()
        if self._state != "ready" or self.guard is None:
            raise NotReadyError(self._reason)
        return self.guard

    def stop(self, *, abort: bool = False, wait: float | None = None) -> None:
        """Finish the current window, refuse the rest, free the model; may be called again.

        Ends a load that is running. ``abort``: end the current window too. ``wait``: at most so
        many seconds. Does nothing in a forked child, which does not have the thread.
        """
        if self._process != os.getpid():
            return
        self._change("stopped", "the model is stopping")
        self._loading.cancel()
        self.refuse(self._reason, abort=abort)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(wait)

    def refuse(self, reason: str, *, abort: bool) -> None:
        """Refuse all jobs from now on; ``abort``: end what is being computed too."""
        if abort:
            self._aborted.cancel()
        self.queue.close(reason, abort=abort)

    async def run(
        self,
        texts: Sequence[Text],
        finish: Callable[[Guard, Verdict], T],
        *,
        name: str = "",
        deadline: float | None = None,
    ) -> list[T | EdgeguardError]:
        """The result of ``finish`` for each text's verdict, or the text's error, in order.

        The log calls the caller ``name``. Cancelling the caller ends the computation, as does the
        deadline, a time of ``time.monotonic()``. Raises NotReadyError, QueueFullError, TimeoutError
        (the deadline), and unforeseen errors.
        """
        if self._state != "ready":
            raise NotReadyError(self._reason)
        job = Job(texts, finish, self.limits, name)
        waiter = Waiter(job)
        self.queue.put(waiter)
        try:
            await _in_time(waiter, deadline)
        except (asyncio.CancelledError, TimeoutError):
            self.queue.leave(waiter)
            raise
        return job.results

    def _run(self) -> None:
        try:
            with self._load(self._loading) as guard:
                self_test(guard, self._loading)
                self._measure(guard)
                self._work(guard)
        except CancelledError:
            _logger.debug("the load was ended")
        except EdgeguardError as error:
            self._fail(error)
        except Exception as error:
            _logger.error("the worker stopped: %s", where(error))
            self._fail(ModelError(f"the model could not be used: {type(error).__name__}"))

    def _measure(self, guard: Guard) -> None:
        """Measure how fast a short text is read when everything is warm: the best speed."""
        verdict = guard.check_messages(_PROBE, cancel=self._loading)
        self.queue.speed = verdict.tokens / max(verdict.seconds, 1e-4)
        if self._max_tokens is None and math.isfinite(self.limits.seconds):
            tokens = max(_LEAST_TOKENS, self.queue.speed * self.limits.seconds)
            self.limits = Limits(_rounded(tokens), self.limits.seconds)

    def _work(self, guard: Guard) -> None:
        self.guard = guard
        if not self._change("ready", ""):
            return
        self._on_ready(guard)
        while (waiter := self.queue.next()) is not None:
            self._turn(guard, waiter)

    def _turn(self, guard: Guard, waiter: Waiter) -> None:
        try:
            if self._together:
                self._answer_together(guard, waiter.job)
            started = time.perf_counter()
            tokens = waiter.job.turn(guard)
            self.queue.learn(tokens, time.perf_counter() - started)
        except CancelledError:  # its caller left, or the worker stops
            return
        except BaseException as error:
            self._suspect(guard, waiter, error)
        if waiter.job.is_done:
            waiter.settle()
        else:
            self.queue.put_back(waiter)

    def _answer_together(self, guard: Guard, job: Job[Any]) -> None:
        """Answer the next texts of a job and of the jobs that wait."""
        if not job.was_in_company:
            jobs = [job, *self.queue.others(most_of(guard) - 1)]
            self.queue.learn(*answer_together(guard, jobs, self._aborted))

    def _suspect(self, guard: Guard, waiter: Waiter, error: BaseException) -> None:
        """Find out whether the text or the guard is to blame. Raises if it is the guard."""
        name = waiter.job.name or "a call"
        _logger.error("%s: a text could not be judged: %s", name, reason(error))
        try:
            self_test(guard)
        except BaseException:
            waiter.settle(error)
            raise
        if isinstance(error, EdgeguardError):
            waiter.job.fail_text(error)
        else:
            waiter.settle(error)

    def _fail(self, error: EdgeguardError) -> None:
        self.error = error
        self._change("failed", "the model failed; the log says why")
        self.queue.close(self._reason)
        self._on_failure(error)

    def _change(self, state: State, reason: str) -> bool:
        """Whether the state could still be changed."""
        with self._lock:
            over = self._state == "failed" or (self._state == "stopped" and state == "ready")
            if not over:
                self._state, self._reason = state, reason
                if not self._loaded.done():
                    self._loaded.set_result(None)
            return not over


async def _in_time(waiter: Waiter, deadline: float | None) -> None:
    """Wait for the end; stop the computation when its time is up. Raises TimeoutError."""
    job, end = waiter.job, math.inf if deadline is None else deadline
    while not waiter.done.done():
        wait = _until(min(time.monotonic() + job.seconds_left, end))
        await asyncio.wait({waiter.done}, timeout=wait)
        if waiter.done.done():
            break
        if time.monotonic() >= end:
            raise _late()
        if job.seconds_left <= 0:
            job.expire()
            break
    await waiter.done


def _until(end: float | None) -> float | None:
    """Seconds until a time of ``time.monotonic()``, at least 0."""
    if end is None or math.isinf(end):
        return None
    return max(0.001, end - time.monotonic())


def _late() -> TimeoutError:
    return TimeoutError(
        "the text was not judged in the time it was given: give it more time, or a shorter text"
    )


def _rounded(number: float) -> int:
    """Rounded to two digits, since it is a measurement."""
    scale = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(number // scale * scale)


def reason(error: BaseException) -> str:
    """What the log says of an error: our own messages quote no text, others may."""
    return f"{type(error).__name__}: {error}" if isinstance(error, EdgeguardError) else where(error)


def where(error: BaseException) -> str:
    """The type of an exception and its code lines, without its message, which may quote a text."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = (f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)
    return f"{type(error).__name__} in {', '.join(lines)}"
