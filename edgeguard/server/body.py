"""Limits on a request's body: its type, its size, its time, and the total of all bodies.

A body whose headers are refused is refused before the client is told to send it (100 Continue). All
bodies held at one time, including those of requests that wait for the model, share one limit, which
bounds the memory. This module does not read the content of a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import Message as HeaderMessage

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeguard.server.http_errors import OLLAMA, HttpError

BODY_SECONDS = 60.0
"""How long a body may take to arrive."""
HELD_BODIES = 8
"""How many bodies of the largest size may be held at one time. As text, JSON and tokens, a body
takes up to 24 times its size."""

_MESSAGE = 16
"""What a message of a WebSocket counts beside its bytes: many small ones take memory too."""
_DRAIN_BYTES = 8 * 1024 * 1024
_DRAIN_SECONDS = 5.0
"""What is still read of a body that is refused: a client that is writing would otherwise see a
broken connection and not the error."""

_OLLAMA_KINDS = ("text/plain", "application/x-www-form-urlencoded")


class Bounded:
    """Reads a body whole, up to a limit of bytes and time, for at most so many requests at once."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int,
        places: int,
        any_kind: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """``any_kind``: whether the body on a path may be something else than JSON."""
        self._app = app
        self._any_kind = any_kind
        self._max_body = max_body
        self._places = places
        self._inside = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on with its whole body, or raise HttpError 408, 413, 415, 503.

        The messages of a WebSocket are passed on as they come, and count together as one body.
        """
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        posts = scope["method"] == "POST"  # /health answers at any time
        if posts and self._inside >= self._places:
            raise _full("too many requests at once")
        headers, held = Headers(scope=scope), _Held(self._max_body, self.hold)
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._max_body:
            raise held.too_large()
        if posts and not self._any_kind(scope["path"]):
            _check_kind(headers, scope["path"])
        self._inside += posts
        try:
            if await _read(receive, held):
                await self._app(scope, held.replay(receive), send)
        finally:
            self._inside -= posts
            self._held -= held.size
        return None

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = _Held(self._max_body, self.hold)

        async def counted() -> Message:
            message = await receive()
            said = message.get("bytes") or message.get("text") or ""
            held.count(_MESSAGE + len(said if isinstance(said, bytes) else said.encode()))
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held.size

    def hold(self, size: int) -> None:
        """So many bytes more have come. Raises HttpError 503."""
        if self._held + size > HELD_BODIES * self._max_body:
            raise _full("too many large requests at once")
        self._held += size


class _Held:
    """The body of one request, which counts among those that are held until it is answered."""

    def __init__(self, most: int, hold: Callable[[int], None]) -> None:
        self._hold = hold
        self._body = bytearray()
        self.most = most
        self.size = 0

    async def gather(self, receive: Receive) -> bool:
        """Read it; False if the client left. Raises HttpError 413, 503."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            part = message.get("body", b"")
            self.count(len(part))
            self._body += part
            more = message.get("more_body", False)
        return True

    def count(self, size: int) -> None:
        """So many bytes more. Raises HttpError 413, 503."""
        if self.size + size > self.most:
            raise self.too_large()
        self._hold(size)
        self.size += size

    def replay(self, receive: Receive) -> Receive:
        """The body once more, then what the client does after it. It is not kept here."""
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given, body = True, bytes(self._body)
            self._body.clear()
            return {"type": "http.request", "body": body, "more_body": False}

        return again

    def too_large(self) -> HttpError:
        return HttpError(413, f"the body is larger than {self.most} bytes", code="body_too_large")


class Incoming:
    """A request's body, and whether all of it has come."""

    def __init__(self, receive: Receive, *, waits: bool) -> None:
        """``waits``: the client sends nothing before it is told to (Expect: 100-continue)."""
        self._receive = receive
        self._waits = waits
        self._whole = False

    async def receive(self) -> Message:
        """As ASGI has it."""
        self._waits = False
        message = await self._receive()
        self._whole = not message.get("more_body", False)
        return message

    async def drain(self) -> bool:
        """Read what is left, within limits; whether that was all."""
        if self._waits:  # to read would tell it to send
            return False
        try:
            return self._whole or await asyncio.wait_for(self._discard(), _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            return False

    async def _discard(self) -> bool:
        size = 0
        while not self._whole and size <= _DRAIN_BYTES:
            size += len((await self.receive()).get("body", b""))
        return self._whole


async def _read(receive: Receive, held: _Held) -> bool:
    """Whether the whole body came; not if the client left. Raises HttpError 408, 413, 503."""
    try:
        return await asyncio.wait_for(held.gather(receive), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise HttpError(
            408, f"the body did not arrive within {BODY_SECONDS:.0f} s", code="timeout"
        ) from None


def _check_kind(headers: Headers, path: str) -> None:
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HttpError(
            415,
            "the body must not be compressed: send it without Content-Encoding",
            code="unsupported_content_encoding",
        )
    header = HeaderMessage()
    header["content-type"] = value = headers.get("content-type", "")
    kind, charset = header.get_content_type(), header.get_param("charset", "utf-8")
    is_json = value != "" and (
        kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    )
    # Ollama asks for no kind, and `curl -d` names a form's. What a page of another origin can send
    # without being asked is turned away before (edgeguard.server.access).
    is_json = is_json or (path.startswith(OLLAMA) and kind in _OLLAMA_KINDS)
    if not is_json or str(charset).lower() not in ("utf-8", "utf8"):
        raise HttpError(
            415,
            "the body must be JSON in UTF-8: send the header Content-Type: application/json",
            code="unsupported_content_type",
        )


def _full(why: str) -> HttpError:
    return HttpError(503, why, code="queue_full", headers={"retry-after": "1"})
