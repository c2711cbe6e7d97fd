"""A response judged while it is written, for programs that run an event loop.

    async with guard.watch(messages) as watch:
        async for piece in model_output:
            state = await watch.feed(piece)
            if state.flagged:
                break
        verdict = await watch.end()

Each call runs the method of edgeguard.watch.Watch in a thread, one after the other; the model's own
thread takes all watches and checks in turn. Cancelling a task stops its computation at once and
ends the watch. This module judges nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from edgeguard.cancellation import Cancellation
from edgeguard.errors import ClosedError
from edgeguard.stream.interface import TokenLabel
from edgeguard.verdict import Verdict
from edgeguard.watch.state import WatchState
from edgeguard.watch.watch import Watch

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")


class AsyncWatch:
    """One response being judged. Use it with ``async with``."""

    def __init__(
        self, begin: Callable[[Cancellation], Awaitable[Callable[[], Watch]]], threads: Executor
    ) -> None:
        """``begin`` waits for the model; the function it returns makes the watch, in a thread."""
        import asyncio

        self._begin = begin
        self._threads = threads
        self._wish = Cancellation()
        self._one = asyncio.Lock()
        self._watch: Watch | None = None

    @property
    def prompt(self) -> Verdict | None:
        """The verdict of the conversation that the response answers; None if there is none."""
        return self._open().prompt

    @property
    def state(self) -> WatchState:
        """How far the response is judged."""
        return self._open().state

    @property
    def text(self) -> str:
        """The text fed so far, up to its last complete character."""
        return self._open().text

    @property
    def labels(self) -> tuple[TokenLabel, ...]:
        """The label of each token judged so far by a Qwen3Guard-Stream; empty with a Gen."""
        return self._open().labels

    async def feed(self, piece: str | bytes) -> WatchState:
        """Take the next piece of the response; see Watch.feed."""
        watch = self._open()
        return await self._run(lambda: watch.feed(piece))

    async def end(self) -> Verdict:
        """Judge the rest, and give the verdict of the whole response; see Watch.end."""
        return await self._run(self._open().end)

    async def _run(self, call: Callable[[], T]) -> T:
        import asyncio

        async with self._one:
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(self._threads, call)
            except asyncio.CancelledError:
                self._wish.cancel()
                raise

    def _open(self) -> Watch:
        if self._watch is None:
            raise ClosedError("the watch has not begun: enter `async with`")
        return self._watch

    async def __aenter__(self) -> AsyncWatch:
        begin = await self._begin(self._wish)
        self._watch = await self._run(begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import asyncio

        self._wish.cancel()
        # Ending a watch may wait for the model's thread, which the event loop must not.
        await asyncio.shield(asyncio.to_thread(self._open().close))
