"""The guard for programs that run an event loop: the same calls, awaited.

    async with AsyncGuard("nano") as guard:
        verdict = await guard.check("What is the capital of France?")

No call blocks the loop: one worker (edgeguard.worker) computes, and many calls take turns on it, a
window each. A task that is cancelled, ``asyncio.timeout`` included, stops its computation at once.

This module judges nothing; what differs from edgeguard.guard.Guard is how one waits. Who never
makes an AsyncGuard pays for no asyncio: it is imported where it is used.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from edgeguard.arguments import N_CTX, seconds_of
from edgeguard.async_watch import AsyncWatch
from edgeguard.cancellation import Cancellation
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.rows import CheckMessages, CheckRow
from edgeguard.conversation.value import Conversation, Judged
from edgeguard.errors import (
    ClosedError,
    EdgeguardError,
    PolicyError,
    SessionError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.guard import Guard
from edgeguard.policy import Policy
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.session.interface import Session
from edgeguard.session.settings import Settings, Threads
from edgeguard.store import find_policy
from edgeguard.verdict import ModelId, Verdict
from edgeguard.verdict_cache import CacheInfo
from edgeguard.watch import INTERVAL
from edgeguard.watch.watch import Watch

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from edgeguard.worker.worker import Worker

_WATCHES = 64
"""Watches that may wait for the model at once; each that does has a thread."""
_END_SECONDS = 2.0
"""What a load may take to end when nobody wants its guard any more."""


class AsyncGuard:
    """A model that judges texts for tasks. Use it with ``async with``, or await ``close()``.

    The model is loaded when ``async with`` is entered, or at the first call; the loop runs on
    meanwhile. One guard may be shared by tasks, and by event loops in several threads. Arguments
    and errors are those of Guard; where a Guard takes ``cancel``, cancel the task.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        policy: str = "strict",
        threads: Threads = None,
        n_ctx: int = N_CTX,
        device: str = "auto",
        allow_random_weights: bool = False,
        mapped_weights: bool = False,
        category_probabilities: bool = False,
        cache: str | os.PathLike[str] | None = None,
        idle_unload: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Keep what to load; see Guard for the arguments, which are checked at the load.

        ``on_progress`` is called in another thread: ``loop.call_soon_threadsafe`` brings it home.
        """
        load = partial(
            Guard,
            model,
            policy=policy,
            threads=threads,
            n_ctx=n_ctx,
            device=device,
            allow_random_weights=allow_random_weights,
            mapped_weights=mapped_weights,
            category_probabilities=category_probabilities,
            cache=cache,
            idle_unload=idle_unload,
            on_progress=on_progress,
        )
        self._set_up(lambda cancel: load(cancel=cancel))

    @classmethod
    def with_session(
        cls, session: Session, *, policy: str = "strict", allow_random_weights: bool = False
    ) -> AsyncGuard:
        """A guard on any session, for tests without a model; see edgeguard.session.fake."""
        guard = cls.__new__(cls)
        guard._set_up(
            lambda _cancel: Guard.with_session(
                session, policy=policy, allow_random_weights=allow_random_weights
            )
        )
        return guard

    @classmethod
    def on_worker(cls, worker: Worker) -> AsyncGuard:
        """A guard that asks a worker which somebody else has made, as a server has one."""
        guard = cls.__new__(cls)
        guard._use(worker)
        return guard

    def _set_up(self, load: Callable[[Cancellation], Guard]) -> None:
        from edgeguard.worker.worker import Worker

        self._use(Worker(load, timeout=None))

    def _use(self, worker: Worker) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._worker = worker
        self._free = weakref.finalize(self, _abandon, self._worker)

    @property
    def model(self) -> ModelId:
        """Which model answers."""
        return self._guard.model

    @property
    def policy(self) -> Policy:
        """The policy of calls that name none."""
        return self._guard.policy

    @property
    def device(self) -> str:
        """Where the model runs: ``cpu``, or the accelerator's name."""
        return self._guard.device

    @property
    def settings(self) -> Settings | None:
        """What the model computes with; None for a session that is not llama.cpp's."""
        return self._guard.settings

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory now."""
        guard = self._worker.guard
        return guard is not None and guard.is_loaded

    async def check(
        self, text: str, *, policy: str | None = None, timeout: float | None = None
    ) -> Verdict:
        """Judge a prompt: what a user asks of an assistant."""
        messages = [{"role": "user", "content": text}]
        return await self.check_messages(messages, policy=policy, fresh=True, timeout=timeout)

    async def check_response(
        self,
        prompt: str,
        response: str,
        *,
        policy: str | None = None,
        timeout: float | None = None,
    ) -> Verdict:
        """Judge a response to a prompt, and whether it is a refusal."""
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ]
        return await self.check_messages(messages, policy=policy, timeout=timeout)

    async def check_messages(
        self,
        messages: CheckMessages,
        *,
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> Verdict:
        """Judge the last message of a conversation; see Guard.check_messages.

        timeout: seconds from now, waiting for the load and for other calls included.
        """
        read = Reading(strict_messages, tool_calls, skip_media)(messages)
        (verdict,) = await self._judge([read], timeout, policy=policy, fresh=fresh)
        return verdict

    async def check_turns(
        self,
        messages: CheckMessages,
        *,
        judge: Judged = "each",
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> list[Verdict]:
        """Judge several messages of a conversation; see Guard.check_turns."""
        read = Reading(strict_messages, tool_calls, skip_media)(messages)
        return await self._judge(read.judged(judge), timeout, policy=policy, fresh=fresh)

    def check_many(
        self,
        rows: Iterable[CheckRow],
        *,
        policy: str | None = None,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Verdict | EdgeguardError]:
        """Judge any number of texts, lazily and in order, with ``async for``; see Guard.check_many.

        The rows are taken in the caller's task, one when the one before has its verdict.
        """
        from edgeguard.conversation.row_lists import rows_of

        reading = Reading(strict_messages, tool_calls, skip_media)
        chosen = None if policy is None else find_policy(policy)
        limit = None if timeout is None else seconds_of(timeout)
        return self._judge_rows(rows_of(rows), reading, limit, policy=chosen, fresh=True)

    def watch(
        self,
        messages: CheckMessages,
        *,
        policy: str | None = None,
        interval: int = INTERVAL,
        in_a_row: int = IN_A_ROW,
        category_probabilities: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> AsyncWatch:
        """Judge the response to a conversation while it is written, with ``async with``.

        See Guard.watch for the arguments, edgeguard.async_watch for what it is.
        """

        async def begin(wish: Cancellation) -> Callable[[], Watch]:
            with self._told():
                guard = await self._ready(None)
            return partial(
                guard.watch,
                messages,
                policy=policy,
                interval=interval,
                in_a_row=in_a_row,
                category_probabilities=category_probabilities,
                strict_messages=strict_messages,
                tool_calls=tool_calls,
                skip_media=skip_media,
                timeout=timeout,
                cancel=wish,
            )

        return AsyncWatch(begin, self._watching())

    def cache_info(self) -> CacheInfo | None:
        """How often the cache knew an answer; None without one, or before the model is loaded."""
        guard = self._worker.guard
        return None if guard is None else guard.cache_info()

    async def tokenize(self, text: str) -> tuple[bytes, ...]:
        """The tokens of a plain text, each as the bytes that it stands for."""
        import asyncio

        with self._told():
            guard = await self._ready(None)
        return await asyncio.to_thread(guard.tokenize, text)

    async def unload(self) -> None:
        """Give the model's memory back, behind earlier calls; the next call loads it again."""
        import asyncio

        with self._told():
            guard = await self._ready(None)
        await asyncio.to_thread(guard.unload)

    async def close(self) -> None:
        """Free the memory, after a window that still runs; what waits ends with ClosedError.

        Calling it again does nothing.
        """
        import asyncio

        self._free.detach()
        await asyncio.to_thread(self._worker.stop)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def __aenter__(self) -> AsyncGuard:
        try:
            with self._told():
                await self._ready(None)
        except BaseException:
            self._worker.stop(abort=True, wait=0.0)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guard cannot be pickled: make one in each process")

    def _watching(self) -> ThreadPoolExecutor:
        """Where watches wait for the model. asyncio's own threads are few, and others need them."""
        from concurrent.futures import ThreadPoolExecutor

        if self._threads is None:
            self._threads = ThreadPoolExecutor(_WATCHES, thread_name_prefix="edgeguard-watch")
        return self._threads

    @property
    def _guard(self) -> Guard:
        guard = self._worker.guard
        if guard is None:
            raise SessionError("the model is not loaded yet: enter `async with`, or await a call")
        return guard

    async def _judge(
        self, conversations: list[Conversation], timeout: float | None, **options: object
    ) -> list[Verdict]:
        """What every check ends in; ``options`` are those of Guard.begin."""
        limit = None if timeout is None else seconds_of(timeout)
        verdicts = []
        for result in await self._ask(conversations, options, limit):
            if isinstance(result, EdgeguardError):
                raise result
            verdicts.append(result)
        return verdicts

    async def _judge_rows(
        self, rows: Iterable[Any], reading: Reading, limit: float | None, **options: object
    ) -> AsyncIterator[Verdict | EdgeguardError]:
        from edgeguard.conversation.recent import Recent
        from edgeguard.conversation.rows import conversation_in, key_of

        recent: Recent[Verdict] = Recent()
        for row in rows:
            try:
                conversation = conversation_in(row, reading)
            except EdgeguardError as error:
                yield error
                continue
            key = key_of(conversation)
            result = recent.get(key) or (await self._ask([conversation], options, limit))[0]
            if isinstance(result, Verdict):
                recent.put(key, result)
            yield result

    async def _ask(
        self,
        conversations: list[Conversation],
        options: Mapping[str, object],
        limit: float | None,
    ) -> list[Verdict | EdgeguardError]:
        """The verdicts, or why one has none. Raises what every other text would meet too."""
        from edgeguard.worker.job import Text

        deadline = None if limit is None else time.monotonic() + limit
        texts = [Text(conversation, options) for conversation in conversations]
        try:
            with self._told():
                await self._ready(deadline)
                results = await self._worker.run(
                    texts, lambda _guard, verdict: verdict, deadline=deadline
                )
        except TimeoutError as error:
            return [error]
        for result in results:
            if isinstance(result, (ClosedError, PolicyError)):
                raise result
        return results

    async def _ready(self, deadline: float | None) -> Guard:
        """The guard, loaded now if it was not asked for before."""
        if self._process != os.getpid():  # before any lock: it may have been copied locked
            raise SessionError(
                "this guard was made in another process, and a model does not survive a fork: "
                "make a guard in each process"
            )
        self._worker.start()
        return await self._worker.ready(deadline)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Why there is no model to ask, in the library's own errors."""
        from edgeguard.worker.queue import NotReadyError

        try:
            yield
        except NotReadyError as refusal:
            error = self._worker.error
            if error is None:
                raise ClosedError("the guard is closed: make a new one") from None
            # A new one for each caller: an exception holds on to where it was raised.
            raise type(error)(str(error)) from refusal


def _abandon(worker: Worker) -> None:
    """Stop for a guard that nobody holds any more, or at the end of the process.

    A load is waited for: the process must not end under it. A guard sees to that itself.
    """
    worker.stop(abort=True, wait=_END_SECONDS if worker.guard is None else 0.0)
