"""The one thread that owns the model, and the bounded queue before it.

The thread loads the guard, asks it two test questions, and then works: calls wait in a queue, those
of one request take turns with those of others, and a request whose client has left is dropped
before its turn. What computes cannot be interrupted. A guard that fails on a text is asked the
test questions again; if it fails them, the worker has failed and stays so.

This module knows nothing of HTTP, and makes no verdict: a call is any function of the guard.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from edgeguard.errors import EdgeguardError, InputError, ModelError
from edgeguard.guard import Guard
from edgeguard.protocol.answer import parse

T = TypeVar("T")
State = Literal["loading", "ready", "failed", "stopped"]

_logger = logging.getLogger(__name__)

_USER = {"role": "user", "content": "What is the capital of France?"}
_TESTS = ([_USER], [_USER, {"role": "assistant", "content": "It is Paris."}])


class NotReadyError(Exception):
    """There is no model to ask, for the reason given."""


class QueueFullError(Exception):
    """Too many requests wait; ``retry_after`` is a guess in seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting} requests are waiting for the model")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Ticket:
    """The calls of one request, the results so far, and where the results are awaited."""

    calls: deque[Callable[[Guard], Any]]
    done: asyncio.Future[list[Any]]
    results: list[Any] = field(default_factory=list)

    def finish(self, error: BaseException | None = None) -> None:
        """Tell the event loop; it may be gone by now."""

        def settle() -> None:
            if not self.done.done():
                if error is None:
                    self.done.set_result(self.results)
                else:
                    self.done.set_exception(error)

        try:
            self.done.get_loop().call_soon_threadsafe(settle)
        except RuntimeError:
            _logger.debug("a result came after the server had stopped")


class Worker:
    """Runs calls on a guard, one at a time."""

    def __init__(
        self,
        load: Callable[[], Guard],
        *,
        places: int,
        on_ready: Callable[[Guard], None] = lambda _guard: None,
        on_failure: Callable[[EdgeguardError], None] = lambda _error: None,
    ) -> None:
        """``load`` is called in the thread; ``places`` is how many requests may wait.

        ``on_ready`` and ``on_failure`` are called in the thread too: after the test verdicts, or
        when the model could not be loaded or failed them.
        """
        self._load = load
        self._places = places
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._condition = threading.Condition()
        self._waiting: deque[_Ticket] = deque()
        self._state: State = "loading"
        self._reason = "the model is being loaded"
        self._seconds = 1.0
        self._thread = threading.Thread(target=self._run, name="edgeguard-worker", daemon=True)
        self.guard: Guard | None = None

    @property
    def state(self) -> State:
        """What the worker does now."""
        return self._state

    @property
    def reason(self) -> str:
        """Why the worker is not ready; empty if it is."""
        return self._reason

    @property
    def depth(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to load the model."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the call that runs, refuse what waits, free the model; twice is once."""
        with self._condition:
            left, self._waiting = self._waiting, deque()
            if self._state != "failed":
                self._state, self._reason = "stopped", "the server is stopping"
            self._condition.notify_all()
        for ticket in left:
            ticket.finish(NotReadyError(self._reason))
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    async def run(self, calls: Sequence[Callable[[Guard], T]]) -> list[T]:
        """The results of the calls, in their order; a cancelled caller gives up its place.

        Raises NotReadyError, QueueFullError, and what a call raises (the rest is then not called).
        """
        ticket = _Ticket(deque(calls), asyncio.get_running_loop().create_future())
        with self._condition:
            if self._state != "ready":
                raise NotReadyError(self._reason)
            if len(self._waiting) >= self._places:
                raise QueueFullError(len(self._waiting), self._retry_after())
            self._waiting.append(ticket)
            self._condition.notify()
        try:
            return await ticket.done
        except asyncio.CancelledError:
            with self._condition:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
            raise

    def _retry_after(self) -> int:
        return max(1, min(60, math.ceil(len(self._waiting) * self._seconds)))

    def _run(self) -> None:
        try:
            with self._load() as guard:
                test(guard)
                self._work(guard)
        except EdgeguardError as error:
            self._fail(error)
        except Exception as error:
            _logger.error("the worker stopped: %s", where(error))
            self._fail(ModelError(f"the model could not be used: {type(error).__name__}"))

    def _work(self, guard: Guard) -> None:
        with self._condition:
            if self._state == "loading":
                self.guard, self._state, self._reason = guard, "ready", ""
        if self._state == "ready":
            self._on_ready(guard)
        while (ticket := self._next()) is not None:
            self._call(guard, ticket)

    def _next(self) -> _Ticket | None:
        with self._condition:
            while self._state == "ready" and not self._waiting:
                self._condition.wait()
            return self._waiting.popleft() if self._state == "ready" else None

    def _call(self, guard: Guard, ticket: _Ticket) -> None:
        if ticket.done.done():  # its client left
            return
        started = time.perf_counter()
        try:
            ticket.results.append(ticket.calls.popleft()(guard))
        except BaseException as error:
            ticket.finish(error)
            if not isinstance(error, InputError):
                test(guard)  # raises if it is the guard and not the text that fails
            return
        self._seconds += (time.perf_counter() - started - self._seconds) / 8
        if not ticket.calls:
            ticket.finish()
            return
        with self._condition:
            if self._state == "ready":
                self._waiting.append(ticket)  # behind those who wait: a long list blocks nobody
                return
        ticket.finish(NotReadyError(self._reason))

    def _fail(self, error: EdgeguardError) -> None:
        with self._condition:
            self._state, self._reason = "failed", "the model failed; the server says why on stderr"
            left, self._waiting = self._waiting, deque()
        for ticket in left:
            ticket.finish(NotReadyError(self._reason))
        self._on_failure(error)


def where(error: BaseException) -> str:
    """The kind of an exception and the lines it passed, without its message: that may quote."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = (f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames)
    return f"{type(error).__name__} in {', '.join(lines)}"


def test(guard: Guard) -> None:
    """Ask for a verdict in each mode. Raises EdgeguardError unless both are answers."""
    for messages in _TESTS:
        verdict = guard.check_messages(messages)
        try:
            parse(verdict.mode, verdict.answer)
        except ValueError as error:
            raise ModelError(f"the test verdict of a {verdict.mode} is no answer") from error
