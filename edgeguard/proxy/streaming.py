"""An answer that is judged while it is written, and shown no further than its last verdict.

A task reads the upstream; here the text is fed to the guard, one check at a time, and what came
meanwhile is fed together with the next. When the client leaves, when the answer is flagged, or when
anything fails, the upstream's request is cancelled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx

from edgeguard.async_watch import AsyncWatch
from edgeguard.errors import EdgeguardError
from edgeguard.proxy import refusals
from edgeguard.proxy.held import Held
from edgeguard.proxy.judge import Case, Decision
from edgeguard.proxy.refusals import Shown
from edgeguard.proxy.requests import Asked
from edgeguard.proxy.settings import ProxySettings
from edgeguard.proxy.sse import DONE, Event, GarbageError, events
from edgeguard.proxy.words import media_in

AHEAD = 256
"""Events that are read ahead of the guard; then the upstream waits."""
PIECE = 512
"""Characters that are fed at once: what is judged of a burst is shown between two of them."""
_LAST = frozenset(
    {"message_stop", "response.completed", "response.incomplete", "response.failed", "error"}
)

_Item = Event | BaseException | None


class Streaming:
    """One answer on its way."""

    def __init__(
        self,
        asked: Asked,
        case: Case,
        settings: ProxySettings,
        watch: AsyncWatch | None,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """Without a watch the guard failed, and all goes on. ``on_first``: a text is shown."""
        self._asked = asked
        self._case = case
        self._settings = settings
        self._watch = watch
        self._on_first = on_first
        self._held = Held()
        self._shown = Shown()
        self._piece = ""  # what came and was not fed
        self._done = False  # whether the upstream sent [DONE]
        self._stopped = False
        self._open = watch is None

    async def body(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """What the client gets."""
        queue: asyncio.Queue[_Item] = asyncio.Queue(AHEAD)
        reader = asyncio.ensure_future(_read(chunks, queue))
        try:
            async for sent in self._all(queue):
                yield sent
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _all(self, queue: asyncio.Queue[_Item]) -> AsyncIterator[bytes]:
        ended: list[BaseException | None] = []
        while not ended:
            ended = self._take(await _batch(queue))
            async for sent in self._feed():
                yield sent
            if self._stopped:
                return
        async for sent in self._judge_rest():
            yield sent
        if self._stopped:
            return
        for sent in self._release(self._held.length):
            yield sent
        for event in self._end(ended[0]):
            yield event.raw()

    def _take(self, batch: list[_Item]) -> list[BaseException | None]:
        """Hold what came; how it ended, if it did."""
        for item in batch:
            if not isinstance(item, Event):
                return [item]
            if media_in(item.value) and not self._settings.skip_media:
                return [GarbageError("it holds a picture or a sound")]
            if item.value is None:
                self._done = True
            else:
                self._piece += self._held.add(item)
        return []

    async def _feed(self) -> AsyncIterator[bytes]:
        """Have what came judged, and show what may be shown."""
        if self._passes:
            for sent in self._release(self._held.length):
                yield sent
        try:
            while self._piece and not self._open and self._watch is not None:
                piece, self._piece = self._piece[:PIECE], self._piece[PIECE:]
                state = await self._watch.feed(piece)
                for sent in self._show():
                    yield sent
                if state.flagged and not self._settings.observe:
                    self._case.watched(await self._watch.end(), self._watch.text)
                    for sent in self._refuse():
                        yield sent
                    return
        except EdgeguardError as error:
            for sent in self._failed(error):
                yield sent
        for sent in self._show():
            yield sent

    async def _judge_rest(self) -> AsyncIterator[bytes]:
        if self._open or self._watch is None:
            return
        if not self._held.text.strip():
            self._case.empty()
            return
        try:
            decision = self._case.watched(await self._watch.end(), self._watch.text)
        except EdgeguardError as error:
            for sent in self._failed(error):
                yield sent
            return
        if self._settings.observe:
            yield _mark(decision)
        for sent in self._show():
            yield sent
        if decision.stops:
            for sent in self._refuse():
                yield sent

    @property
    def _passes(self) -> bool:
        """Whether all is shown, judged or not."""
        return self._open or self._settings.observe

    def _show(self) -> list[bytes]:
        if self._stopped:
            return []
        if self._passes or self._watch is None:
            return self._release(self._held.length)
        return self._release(self._watch.state.safe_to)

    def _release(self, safe_to: int) -> list[bytes]:
        return [self._sent(event) for event in self._held.release(safe_to)]

    def _sent(self, event: Event) -> bytes:
        self._shown.note(event)
        if not self._shown.any_text and self._held.length:
            self._shown.any_text = True
            self._on_first()
        return event.raw()

    def _refuse(self) -> list[bytes]:
        """It is flagged: nothing more of it is shown."""
        self._stopped = True
        self._held.drop()
        text = self._settings.refusal
        if self._settings.block == "error":
            found = refusals.stream_error(self._asked.form, text, "content_filter")
        else:
            found = refusals.stream(self._asked, text, self._shown)
        return [event.raw() for event in found]

    def _failed(self, error: BaseException) -> list[bytes]:
        """The guard has no verdict of what waits."""
        if not self._case.failure("answer", error, self._held.text).stops:
            self._open = True
            return self._release(self._held.length)
        self._stopped = True
        self._held.drop()
        said = "the answer could not be judged, so the rest of it is not shown"
        found = refusals.stream_error(self._asked.form, said, "judging_failed")
        return [event.raw() for event in found]

    def _end(self, failure: BaseException | None) -> list[Event]:
        """How it ended: as it should, or with what was wrong at the upstream."""
        if failure is None:
            return [Event("", DONE, None)] if self._done else []
        code, said = "upstream_cut", "the upstream's answer was cut"
        if isinstance(failure, GarbageError):
            code, said = "upstream_garbage", f"the upstream's answer cannot be judged: {failure}"
            self._case.unread("answer", code)
        elif isinstance(failure, httpx.TimeoutException):
            code, said = "timeout", "the upstream stopped answering"
        return refusals.stream_error(self._asked.form, said, code)


async def _read(chunks: AsyncIterator[bytes], queue: asyncio.Queue[_Item]) -> None:
    """Put what comes into the queue, and at last None or what was wrong."""
    ended = False
    try:
        async for found in events(chunks):
            await queue.put(found)
            if found.value is None or found.value.get("type") in _LAST:
                ended = True
                break
            ended = ended or _finishes(found.value)
        await queue.put(None if ended else httpx.ReadError("it ended without an end"))
    except (GarbageError, httpx.HTTPError) as error:
        await queue.put(error)


def _finishes(value: dict[str, object]) -> bool:
    """Whether a chunk says that the answer is complete: not all upstreams send `[DONE]`."""
    choices = value.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )


async def _batch(queue: asyncio.Queue[_Item]) -> list[_Item]:
    """All that is there, at least one."""
    found = [await queue.get()]
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


def _mark(decision: Decision) -> bytes:
    """What was found, as a comment: clients pass over it."""
    verdict = decision.verdict
    mark = {
        "answer": decision.word,
        "severity": verdict.severity if verdict else None,
        "categories": list(verdict.categories) if verdict else [],
    }
    return f": edgeguard {json.dumps(mark)}\n\n".encode()
