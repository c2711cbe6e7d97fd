"""The queue in front of the model: who waits, who is next, and how long it may take.

Jobs take turns, one window each. This module judges nothing and starts no thread; event loops add
jobs, and one thread takes them out.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import Any

from edgeguard.worker.job import Job

_LATEST = 60
"""The most seconds: OpenAI's clients ignore a longer Retry-After, and come back at once."""
_FIRST_SPEED = 1000.0


class NotReadyError(Exception):
    """There is no model to ask, for the reason given."""


class QueueFullError(Exception):
    """Too many jobs wait; ``retry_after`` is an estimate in seconds."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting} requests are waiting for the model")
        self.retry_after = retry_after


class Waiter:
    """A job, and the future that its caller awaits. Made in the caller's event loop."""

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.settled = False

    def settle(self, error: BaseException | None = None) -> None:
        """Tell the event loop that the job is done, from any thread; it may be gone by now."""
        self.settled = True

        def tell() -> None:
            if not self.done.done():
                self.done.set_result(None) if error is None else self.done.set_exception(error)

        with suppress(RuntimeError):
            self.done.get_loop().call_soon_threadsafe(tell)


class Queue:
    """The jobs that wait, the one whose turn it is, and the speed of reading."""

    def __init__(self, places: int | None) -> None:
        """``places`` is how many jobs may wait; None for any number."""
        self._condition = threading.Condition()
        self._waiting: deque[Waiter] = deque()
        self._current: Waiter | None = None
        self._busy_since: float | None = None
        self._closed: str | None = None
        self.places = places
        self.speed = _FIRST_SPEED

    @property
    def depth(self) -> int:
        """How many jobs wait for a turn."""
        return len(self._waiting)

    @property
    def in_flight(self) -> tuple[int, int]:
        """How many jobs wait or are being judged, and how many texts they still have."""
        jobs = self._jobs()
        return len(jobs), sum(job.texts_left for job in jobs)

    @property
    def oldest_wait(self) -> float:
        """How many seconds the oldest job has waited for its first turn."""
        waiting = [job.arrived for job in self._jobs() if job.started is None]
        return time.monotonic() - min(waiting) if waiting else 0.0

    @property
    def busy_seconds(self) -> float:
        """How many seconds the model has been judging without a pause; 0 if it is idle."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def put(self, waiter: Waiter) -> None:
        """Join the queue. Raises NotReadyError, QueueFullError."""
        with self._condition:
            if self._closed is not None:
                raise NotReadyError(self._closed)
            if self.places is not None and len(self._waiting) >= self.places:
                raise QueueFullError(len(self._waiting), self._retry_after())
            self._waiting.append(waiter)
            self._condition.notify()

    def put_back(self, waiter: Waiter) -> None:
        """Wait for the next turn, behind the others, so that a long text blocks nobody."""
        with self._condition:
            if self._closed is None:
                if not waiter.settled:
                    self._waiting.append(waiter)
                return
        waiter.settle(NotReadyError(self._closed))

    def leave(self, waiter: Waiter) -> None:
        """Leave the queue, and stop the job's computation."""
        waiter.settled = True
        with self._condition:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        waiter.job.cancellation.cancel()

    def next(self) -> Waiter | None:
        """Wait for the next job; None once the queue is closed."""
        with self._condition:
            self._current = None
            while self._closed is None and not self._waiting:
                self._busy_since = None
                self._condition.wait()
            if self._closed is not None:
                return None
            self._busy_since = self._busy_since or time.monotonic()
            self._current = self._waiting.popleft()
            return self._current

    def others(self, most: int) -> list[Job[Any]]:
        """The jobs whose turns come next."""
        with self._condition:
            return [waiter.job for waiter in islice(self._waiting, most)]

    def close(self, reason: str, *, abort: bool = False) -> None:
        """Refuse the jobs that wait and new ones; ``abort`` also stops the computation."""
        with self._condition:
            self._closed = self._closed or reason
            refused = list(self._waiting)
            self._waiting.clear()
            current = self._current
            self._condition.notify_all()
        if abort and current is not None:
            refused.append(current)
        for waiter in refused:
            waiter.settle(NotReadyError(reason))
            waiter.job.cancellation.cancel()

    def learn(self, tokens: int, seconds: float) -> None:
        """Record that so many tokens were read in so many seconds."""
        if tokens:
            self.speed += (tokens / max(seconds, 1e-4) - self.speed) / 8

    def _retry_after(self) -> int:
        tokens = sum(job.tokens_left for job in self._jobs())
        return max(1, min(_LATEST, math.ceil(tokens / self.speed)))

    def _jobs(self) -> list[Job[Any]]:
        current = self._current
        waiters = list(self._waiting) + ([current] if current is not None else [])
        return [waiter.job for waiter in waiters]
