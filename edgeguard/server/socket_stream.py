"""The WebSocket at /v1/guard/stream: pieces of a response in, events out.

The client's messages, the first of which gives the prompt:

    {"prompt": "…", "in_a_row": 2}    the fields of the request, without ``response``
    {"piece": "…"}                    more of the response, cut anywhere
    bytes                             the same, in UTF-8
    {"end": true}                     nothing more comes: judge the rest

The server's messages are ``{"event": "state", "data": …}``, with the names and the data of
edgeguard.server.watching; after ``verdict`` or ``error`` it closes the socket. Pieces that come
while the model computes are fed together. Closing the socket ends the computation at once. This
module judges nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from itertools import groupby
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from edgeguard.server.http_errors import HttpError
from edgeguard.server.json_body import parse
from edgeguard.server.requests import Body, validated
from edgeguard.server.watching import Event, Watching, WatchRequest, closing

PATH = "/v1/guard/stream"
BEGIN_SECONDS = 15.0
"""How long the first message may take."""
IDLE_SECONDS = 300.0
"""How long the next one may: a model that uses tools is silent for a while."""

_CODES = {413: 1009, 503: 1013}
"""How a WebSocket is closed after an error; others are 1008, the client's, and 1011, ours."""

Options = Callable[[WatchRequest], dict[str, object]]


class _Message(Body):
    """A text message after the first."""

    piece: str | None = None
    end: bool | None = None


async def serve(socket: WebSocket, watching: Watching, options: Options) -> None:
    """Watch one response; ``options`` reads what a request says to the guard.

    Raises HttpError before the socket is accepted, and never after.
    """
    with watching.place():
        await socket.accept()
        inbox = _Inbox(socket)
        try:
            await inbox.unless_left(_talk(socket, inbox, watching, options))
        except HttpError as error:
            socket.scope["state"]["code"] = error.code
            with suppress(WebSocketDisconnect, RuntimeError):  # it has left meanwhile
                await _send(socket, Event("error", {"error": error.to_dict()}))
                ours = 1011 if error.status >= 500 else 1008
                await socket.close(_CODES.get(error.status, ours))


async def _talk(socket: WebSocket, inbox: _Inbox, watching: Watching, options: Options) -> None:
    body = await inbox.first()
    watch = await watching.begin(body, options(body))
    async with closing(watch):
        async for event in watching.judged(watch, inbox.pieces(), body):
            await _send(socket, event)
            if event.name == "verdict":
                socket.scope["state"]["tokens"] = event.data["tokens"]
    await socket.close()


async def _send(socket: WebSocket, event: Event) -> None:
    await socket.send_text(json.dumps({"event": event.name, "data": event.data}))


class _Inbox:
    """What the client says, read as it comes, so that its end is seen while the model computes."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._messages: deque[str | bytes] = deque()
        self._came = asyncio.Event()

    async def unless_left(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, and give it up when the client has left, or says too much. Raises HttpError."""
        working, reading = asyncio.ensure_future(work), asyncio.ensure_future(self._read())
        try:
            await asyncio.wait({working, reading}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
            else:
                await reading
                self._socket.scope["state"]["code"] = "client_left"
        except WebSocketDisconnect:
            return
        finally:
            for task in (working, reading):
                task.cancel()
            await asyncio.gather(working, reading, return_exceptions=True)

    async def first(self) -> WatchRequest:
        """What is answered, and how the answer is judged. Raises HttpError."""
        message = await self._next(BEGIN_SECONDS)
        if isinstance(message, bytes):
            raise _wrong("the first message says what is answered, and is JSON; {} will do")
        return validated(parse(message.encode("utf-8")), WatchRequest)

    async def pieces(self) -> AsyncIterator[str | bytes]:
        """The response; what has come meanwhile together. Raises HttpError."""
        ended = False
        while not ended:
            piece, ended = _said(await self._next(IDLE_SECONDS))
            found = [piece]
            while self._messages and not ended:
                piece, ended = _said(self._messages.popleft())
                found.append(piece)
            for kind, pieces in groupby(filter(None, found), type):
                yield kind().join(pieces)

    async def _next(self, seconds: float) -> str | bytes:
        # Without asyncio.wait_for: before Python 3.12 it may swallow that the task is cancelled.
        if not self._messages:
            self._came.clear()
            timer = asyncio.get_running_loop().call_later(seconds, self._came.set)
            await self._came.wait()
            timer.cancel()
        if not self._messages:
            raise HttpError(408, f"no message came within {seconds:.0f} s", code="timeout")
        return self._messages.popleft()

    async def _read(self) -> None:
        """Until the client leaves."""
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            self._messages.append(message["bytes"] if text is None else text)
            self._came.set()


def _said(message: str | bytes) -> tuple[str | bytes, bool]:
    """The piece in a message, and whether it is the last one. Raises HttpError."""
    if isinstance(message, bytes):
        return message, False
    # Half a character is no error here: a text may be cut in its middle.
    said = validated(parse(message.encode("utf-8"), halves=True), _Message)
    if said.piece is None and not said.end:
        raise _wrong('a message is {"piece": "…"}, {"end": true}, or bytes')
    return said.piece or "", bool(said.end)


def _wrong(why: str) -> HttpError:
    return HttpError(400, why, code="invalid_value")
