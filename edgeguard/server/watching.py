"""A response judged while it is written, as the events of /v1/guard/stream in both its forms.

    prompt     first: the verdict on the prompt, or null if that is not known
    state      after each pass: how far the text is judged, and how far it may be shown
    verdict    at the end; the same form as /v1/guard
    error      if it cannot go on; nothing after the last state is judged

With server-sent events, the whole response is in the request, and the prompt is judged before the
first event, so a problem with it is an HTTP error. Over a WebSocket, the response comes in pieces
(edgeguard.server.socket_stream). A client that leaves frees the model. This module judges nothing
(edgeguard.watch does).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field

from edgeguard.async_guard import AsyncGuard
from edgeguard.async_watch import AsyncWatch
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.protocol.names import SEVERITIES
from edgeguard.protocol.visible import has_visible
from edgeguard.server import answers
from edgeguard.server.http_errors import HttpError, translate
from edgeguard.server.judging import come_back
from edgeguard.server.metrics import Metrics
from edgeguard.server.native import HowRead
from edgeguard.server.requests import AsInteger, Text
from edgeguard.stream.interface import TokenLabel
from edgeguard.worker.worker import Worker

_PIECE = 16
"""Characters fed at a time: fewer than lie between two passes, so that each pass has its event."""

EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "description": "`prompt`, a `state` after each pass, at the end `verdict` or `error`.",
            "oneOf": [
                answers.event("Verdict", "prompt", optional=True),
                answers.event("WatchedState", "state"),
                answers.event("Verdict", "verdict"),
                answers.event("StreamError", "error"),
            ],
        }
    }
}
_Count = Annotated[int | None, Field(ge=1), AsInteger]


class Event(NamedTuple):
    """What a client is told."""

    name: str
    data: Any


class WatchRequest(HowRead):
    """What is answered, and how the answer is judged."""

    prompt: Annotated[str | None, Field(description="What is answered.")] = None
    messages: Annotated[
        list[dict[str, Any]] | None,
        Field(description="The conversation that is answered, instead of the prompt."),
    ] = None
    interval: Annotated[
        _Count, Field(description="Characters between two passes at least, with a Gen model.")
    ] = None
    in_a_row: Annotated[
        _Count, Field(description="Tokens in a row that flag, with a Qwen3Guard-Stream.")
    ] = None
    labels: Annotated[
        bool | None,
        Field(description="Have in each state the labels of new tokens, with a Qwen3Guard-Stream."),
    ] = None


class StreamRequest(WatchRequest):
    """A response, and the prompt or the conversation that it answers, if that is known."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "Tell me a story.", "response": "Once upon a time."}]
        }
    )
    response: Text


class Watching:
    """The watches of one server; ``most`` may be open at a time."""

    def __init__(self, worker: Worker, metrics: Metrics, most: int) -> None:
        self._guard = AsyncGuard.on_worker(worker)
        self._worker = worker
        self._metrics = metrics
        self._most = most
        self._open = 0

    async def events(
        self, body: StreamRequest, options: Mapping[str, object]
    ) -> AsyncIterator[str]:
        """Judge the prompt, and give the events of the response. Raises HttpError."""
        if not has_visible(body.response):
            raise translate(InputError("there is nothing to judge: it is empty"), "response")
        opened = self._opened(body, options)
        watch = await opened.__aenter__()
        return self._sent(opened, watch, body)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the watches that may be open. Raises HttpError 503."""
        if self._open >= self._most:
            raise come_back(f"{self._open} responses are watched already", "queue_full", 5)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def begin(self, body: WatchRequest, options: Mapping[str, object]) -> AsyncWatch:
        """Judge what is answered; who gets the watch ends it. Raises HttpError."""
        watch = self._guard.watch(_asked(body), **_how(body, options))
        try:
            return await watch.__aenter__()
        except EdgeguardError as error:
            where = "prompt" if body.messages is None else "messages"
            raise translate(error, where) from None

    async def judged(
        self, watch: AsyncWatch, pieces: AsyncIterator[str | bytes], body: WatchRequest
    ) -> AsyncIterator[Event]:
        """The events of a response; the last one is a verdict. Raises HttpError."""
        yield Event("prompt", None if watch.prompt is None else watch.prompt.to_dict())
        shown = _Shown(watch, bool(body.labels))
        try:
            async for _ in self._fed(watch, pieces):
                if (state := shown.new()) is not None:
                    yield state
            verdict = await watch.end()
        except EdgeguardError as error:
            raise translate(error, "response") from None
        if (state := shown.new()) is not None:
            yield state
        self._metrics.verdict(verdict)
        yield Event("verdict", verdict.to_dict())

    async def _fed(
        self, watch: AsyncWatch, pieces: AsyncIterator[str | bytes]
    ) -> AsyncIterator[None]:
        """Feed what comes, as long as it is worth it and may be computed."""
        seconds = 0.0
        async for whole in pieces:
            for piece in _pieces(whole):
                began = time.monotonic()
                await watch.feed(piece)
                seconds += time.monotonic() - began
                yield
                if watch.state.flagged:
                    return
                if seconds > self._worker.limits.seconds:
                    raise _too_long(self._worker.limits.seconds)

    @asynccontextmanager
    async def _opened(
        self, body: WatchRequest, options: Mapping[str, object]
    ) -> AsyncIterator[AsyncWatch]:
        with self.place():
            watch = await self.begin(body, options)
            async with closing(watch):
                yield watch

    async def _sent(
        self, opened: Any, watch: AsyncWatch, body: StreamRequest
    ) -> AsyncIterator[str]:
        try:
            async for event in self.judged(watch, _one(body.response), body):
                yield _written(event)
        except HttpError as error:
            yield _written(Event("error", {"error": error.to_dict()}))
        finally:
            await asyncio.shield(opened.__aexit__(None, None, None))


@asynccontextmanager
async def closing(watch: AsyncWatch) -> AsyncIterator[None]:
    """A watch that ends with the block, whatever becomes of the task."""
    try:
        yield
    finally:
        await asyncio.shield(watch.__aexit__(None, None, None))


class _Shown:
    """The state that a client knows."""

    def __init__(self, watch: AsyncWatch, labels: bool) -> None:
        self._watch = watch
        self._state = watch.state
        self._with_labels = labels
        self._labels: Sequence[TokenLabel] = ()

    def new(self) -> Event | None:
        """The state, if it is another one by now."""
        state = self._watch.state
        if state == self._state:
            return None
        self._state = state
        data = state.to_dict()
        if self._with_labels:
            data["labels"] = [_label(each) for each in self._new_labels()]
        return Event("state", data)

    def _new_labels(self) -> Sequence[TokenLabel]:
        """From the first that is not known; in the rare case that some changed, these again."""
        known, self._labels = self._labels, self._watch.labels
        same = 0
        for before, now in zip(known, self._labels):
            if before != now:
                break
            same += 1
        return self._labels[same:]


def _label(label: TokenLabel) -> dict[str, object]:
    return {
        "start": label.start,
        "end": label.end,
        "severity": label.severity,
        "probabilities": dict(zip(SEVERITIES, label.probabilities)),
    }


def _asked(body: WatchRequest) -> list[dict[str, Any]]:
    if body.messages is not None and body.prompt is not None:
        raise HttpError(
            400,
            "prompt: give it or messages, not both",
            code="invalid_conversation",
            param="prompt",
        )
    if body.messages is not None:
        return body.messages
    return [] if body.prompt is None else [{"role": "user", "content": body.prompt}]


def _how(body: WatchRequest, options: Mapping[str, object]) -> dict[str, Any]:
    """The keyword arguments of AsyncGuard.watch."""
    counts = {"interval": body.interval, "in_a_row": body.in_a_row}
    return {
        **options,
        **{name: count for name, count in counts.items() if count is not None},
        "strict_messages": bool(body.strict_messages),
        "tool_calls": bool(body.tool_calls),
        "skip_media": bool(body.skip_media),
    }


async def _one(text: str) -> AsyncIterator[str | bytes]:
    yield text


def _pieces(text: str | bytes) -> Iterator[str | bytes]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))


def _written(event: Event) -> str:
    return f"event: {event.name}\ndata: {json.dumps(event.data, ensure_ascii=False)}\n\n"


def _too_long(seconds: float) -> HttpError:
    return HttpError(
        504,
        f"the response has been computed for {seconds:g} s, which is the most that one may have "
        "here: send it in parts",
        code="timeout",
        param="response",
    )
