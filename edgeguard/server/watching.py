"""`POST /v1/guard/stream`: a response judged sentence by sentence, as server-sent events.

    event: state      after each pass: how far the text is judged, and how far it may be shown
    event: verdict    at the end; the same form as /v1/guard
    event: error      where it cannot go on; nothing behind the last state is judged

The prompt is judged before the first event, so what is wrong with it is an HTTP error. A client
that leaves frees the model. This module judges nothing (edgeguard.watch does).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from edgeguard.async_guard import AsyncGuard
from edgeguard.async_watch import AsyncWatch
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.protocol.visible import has_visible
from edgeguard.server.http_errors import HttpError, translate
from edgeguard.server.judging import come_back
from edgeguard.server.metrics import Metrics
from edgeguard.server.native import HowRead
from edgeguard.server.requests import Text
from edgeguard.worker.worker import Worker

_PIECE = 16
"""Characters fed at a time: fewer than lie between two passes, so that each pass has its event."""

EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "`state` after each pass, at the end `verdict` or `error`.",
            "contentMediaType": "text/event-stream",
            "contentSchema": {
                "oneOf": [
                    {"$ref": f"#/components/schemas/{name}"}
                    for name in ("WatchedState", "Verdict", "StreamError")
                ]
            },
        }
    }
}


class StreamRequest(HowRead):
    """A response, and the prompt or the conversation that it answers, if that is known."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "Tell me a story.", "response": "Once upon a time."}]
        }
    )
    response: Text
    prompt: Annotated[str | None, Field(description="What is answered.")] = None
    messages: Annotated[
        list[dict[str, Any]] | None,
        Field(description="The conversation that is answered, instead of the prompt."),
    ] = None


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
        messages = _asked(body)
        if not has_visible(body.response):
            raise translate(InputError("there is nothing to judge: it is empty"), "response")
        watch = self._guard.watch(messages, **_how(body, options))
        opened = self._opened(watch)
        try:
            await opened.__aenter__()
        except EdgeguardError as error:
            where = "prompt" if body.messages is None else "messages"
            raise translate(error, where) from None
        return self._judged(opened, watch, body.response)

    @asynccontextmanager
    async def _opened(self, watch: AsyncWatch) -> AsyncIterator[None]:
        if self._open >= self._most:
            raise come_back(f"{self._open} responses are watched already", "queue_full", 5)
        self._open += 1
        try:
            async with watch:
                yield
        finally:
            self._open -= 1

    async def _judged(self, opened: Any, watch: AsyncWatch, text: str) -> AsyncIterator[str]:
        try:
            async for event in self._states(watch, text):
                yield event
        except EdgeguardError as error:
            yield _error(translate(error, "response"))
        except HttpError as error:
            yield _error(error)
        finally:
            await asyncio.shield(opened.__aexit__(None, None, None))

    async def _states(self, watch: AsyncWatch, text: str) -> AsyncIterator[str]:
        state, seconds = watch.state, 0.0
        for piece in _pieces(text):
            began = time.monotonic()
            found = await watch.feed(piece)
            seconds += time.monotonic() - began
            if found != state:
                state = found
                yield _event("state", state.to_dict())
            if state.flagged:
                break
            if seconds > self._worker.limits.seconds:
                raise _too_long(self._worker.limits.seconds)
        verdict = await watch.end()
        if watch.state != state:
            yield _event("state", watch.state.to_dict())
        self._metrics.verdict(verdict)
        yield _event("verdict", verdict.to_dict())


def _asked(body: StreamRequest) -> list[dict[str, Any]]:
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


def _how(body: StreamRequest, options: Mapping[str, object]) -> dict[str, Any]:
    """The keyword arguments of AsyncGuard.watch."""
    return {
        **options,
        "strict_messages": bool(body.strict_messages),
        "tool_calls": bool(body.tool_calls),
        "skip_media": bool(body.skip_media),
    }


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error(error: HttpError) -> str:
    return _event("error", {"error": error.to_dict()})


def _too_long(seconds: float) -> HttpError:
    return HttpError(
        504,
        f"the response has been computed for {seconds:g} s, which is the most that one may have "
        "here: send it in parts",
        code="timeout",
        param="response",
    )
