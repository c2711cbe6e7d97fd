"""An answer that is judged while it is written, and shown no further than its last verdict.

A task reads from the upstream. Here the text is fed to the guard, one check at a time; text that
arrives during a check is fed together afterwards. When the client leaves, when the answer is
flagged, or when anything fails, the upstream's request is cancelled.
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
from edgeguard.proxy.sse import DONE, Event, Events, GarbageError, event
from edgeguard.proxy.words import media_in, without_tokens

AHEAD = 256
"""Events that are read ahead of the guard; then the upstream waits."""
PIECE = 512
"""The most characters fed at once, so that a burst of text is shown bit by bit."""
_LAST = frozenset(
    {"message_stop", "response.completed", "response.incomplete", "response.failed", "error"}
)

_Item = Event | bytes | BaseException | None


class Streaming:
    """One answer on its way to the client."""

    def __init__(
        self,
        asked: Asked,
        case: Case,
        settings: ProxySettings,
        watch: AsyncWatch | None,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """Without a watch, the guard failed and all passes. ``on_first``: text is shown."""
        self._asked = asked
        self._case = case
        self._settings = settings
        self._watch = watch
        self._on_first = on_first
        self._held = Held(asked.said)
        self._shown = Shown()
        self._piece = ""  # text that was not fed yet
        self._unread: list[bytes] = []  # bytes that are not events, if everything passes
        self._done = False  # whether the upstream sent [DONE]
        self._stopped = False
        self._open = watch is None

    async def body(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes for the client."""
        queue: asyncio.Queue[_Item] = asyncio.Queue(AHEAD)
        reader = asyncio.ensure_future(_read(chunks, queue, lambda: self._passes))
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
        for sent in self._release_all():
            yield sent
        for last in self._end(ended[0]):
            yield last.raw()

    def _take(self, batch: list[_Item]) -> list[BaseException | None]:
        """Hold new items; if the stream ended, returns how."""
        for item in batch:
            try:
                if isinstance(item, GarbageError):
                    raise item
                if isinstance(item, bytes):
                    self._unread.append(item)
                elif not isinstance(item, Event):
                    self._piece += self._held.end()
                    return [item]
                else:
                    self._hold(item)
            except GarbageError as error:
                if not self._passes:
                    self._piece += self._held.end()
                    return [error]
                self._open = True  # in observe mode: no verdict, and everything passes
                self._case.unread("answer", "upstream_garbage")
                if isinstance(item, Event):
                    self._held.add(item)
        return []

    def _hold(self, new: Event) -> None:
        """Hold an event. Raises GarbageError for one that cannot be judged."""
        if new.value is None:
            self._done = True
            return
        if media_in(new.value) and not self._settings.skip_media:
            raise GarbageError("it holds a picture or a sound")
        if _several(new.value):
            raise GarbageError("it holds several answers at once")
        kept = new.value if self._settings.allows("logprobs") else without_tokens(new.value)
        assert isinstance(kept, dict)
        self._piece += self._held.add(new if kept is new.value else event(kept, new.name))

    async def _feed(self) -> AsyncIterator[bytes]:
        """Have new text judged, and show what may be shown."""
        if self._passes:
            for sent in [*self._release_all(), *self._unread]:
                yield sent
            self._unread = []
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
            if self._settings.observe:
                yield _mark(Decision(False, None))
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
        """Whether everything is shown, judged or not."""
        return self._open or self._settings.observe

    def _show(self) -> list[bytes]:
        if self._stopped:
            return []
        if self._passes or self._watch is None:
            return self._release_all()
        return self._release(self._watch.state.safe_to)

    def _release_all(self) -> list[bytes]:
        # an event may wait for something that never came
        return self._release(self._held.length + 1)

    def _release(self, safe_to: int) -> list[bytes]:
        return [self._sent(one) for one in self._held.release(safe_to)]

    def _sent(self, one: Event) -> bytes:
        self._shown.note(one)
        if not self._shown.any_text and self._held.released:
            self._shown.any_text = True
            self._on_first()
        return one.raw()

    def _refuse(self) -> list[bytes]:
        """The answer is flagged: nothing more of it is shown."""
        self._stopped = True
        self._held.drop()
        text = self._settings.refusal
        if self._settings.block == "error":
            found = refusals.stream_error(self._asked.form, text, "content_filter")
        else:
            found = refusals.stream(self._asked, text, self._shown)
        return [one.raw() for one in found]

    def _failed(self, error: BaseException) -> list[bytes]:
        """The guard has no verdict on the text that waits."""
        if not self._case.failure("answer", error, self._held.text).stops:
            self._open = True
            return self._release_all()
        self._stopped = True
        self._held.drop()
        said = "the answer could not be judged, so the rest of it is not shown"
        found = refusals.stream_error(self._asked.form, said, "judging_failed")
        return [one.raw() for one in found]

    def _end(self, failure: BaseException | None) -> list[Event]:
        """The end of the answer: as it should be, or with the upstream's error."""
        if failure is None:
            return [Event("", DONE, None)] if self._done else []
        if not isinstance(failure, (GarbageError, httpx.HTTPError)):
            raise failure
        code, said = "upstream_cut", "the upstream's answer was cut"
        if isinstance(failure, GarbageError):
            code, said = "upstream_garbage", f"the upstream's answer cannot be judged: {failure}"
            self._case.unread("answer", code)
        elif isinstance(failure, httpx.TimeoutException):
            code, said = "timeout", "the upstream stopped answering"
        return refusals.stream_error(self._asked.form, said, code)


async def _read(
    chunks: AsyncIterator[bytes], queue: asyncio.Queue[_Item], passes: Callable[[], bool]
) -> None:
    """Put events into the queue, and at the end None or an error.

    Bytes that are not an event are an error, unless everything ``passes``: then they are put too.
    """
    reader = Events()
    try:
        await queue.put(await _until_end(chunks, reader, queue))
    except GarbageError as error:
        await queue.put(error)
        if passes():
            await queue.put(reader.unread)
            await _rest(chunks, queue)
    except Exception as error:  # any exception, since the reader of the queue must know
        await queue.put(error)


async def _until_end(
    chunks: AsyncIterator[bytes], reader: Events, queue: asyncio.Queue[_Item]
) -> httpx.ReadError | None:
    """Put the events; returns an error if they stop without a proper end."""
    ended = False
    async for chunk in chunks:
        for found in reader.feed(chunk):
            await queue.put(found)
            if _is_last(found):
                return None
            ended = ended or _finishes(found)
    for found in reader.end():
        await queue.put(found)
        ended = ended or _is_last(found) or _finishes(found)
    return None if ended else httpx.ReadError("it ended without an end")


async def _rest(chunks: AsyncIterator[bytes], queue: asyncio.Queue[_Item]) -> None:
    try:
        async for chunk in chunks:
            await queue.put(chunk)
        await queue.put(None)
    except httpx.HTTPError as error:
        await queue.put(error)


def _several(value: dict[str, object]) -> bool:
    """Whether an event contains more than the one answer that is judged."""
    choices = value.get("choices")
    if not isinstance(choices, list):
        return choices is not None
    indices = [choice.get("index", 0) for choice in choices if isinstance(choice, dict)]
    return len(choices) > 1 or indices not in ([], [0])


def _is_last(found: Event) -> bool:
    return found.value is None or str(found.value.get("type")) in _LAST


def _finishes(found: Event) -> bool:
    """Whether a chunk says that the answer is complete: not all upstreams send `[DONE]`."""
    choices = (found.value or {}).get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )


async def _batch(queue: asyncio.Queue[_Item]) -> list[_Item]:
    """Everything in the queue, at least one item."""
    found = [await queue.get()]
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


def _mark(decision: Decision) -> bytes:
    """The decision as a comment, which clients ignore."""
    verdict = decision.verdict
    mark = {
        "answer": decision.word,
        "severity": verdict.severity if verdict else None,
        "categories": list(verdict.categories) if verdict else [],
    }
    return f": edgeguard {json.dumps(mark)}\n\n".encode()
