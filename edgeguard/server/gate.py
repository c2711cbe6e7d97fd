"""What a request passes before it reaches an endpoint: who asks, from where, and how much.

Three layers of plain ASGI, from the outside in:

    Observed   HEAD as GET, the answer's headers, the metrics, a log line, no exception gets out
    Gate       the host, the origin, the key; errors become answers
    Bounded    the body, read whole up to its limit

On loopback without a key, a web page in the user's browser is the one to keep out: a request must
name this machine as its host (a page that rebinds its own name cannot) and come from no foreign
origin. Nothing here reads what a body says.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeguard.server.http_errors import HttpError
from edgeguard.server.settings import Settings
from edgeguard.server.worker import where

_logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/health"})
"""What needs no key: it says nothing about any text."""

BODY_SECONDS = 60.0
"""How long a body may take to arrive."""

_DRAIN_BYTES = 8 * 1024 * 1024
_DRAIN_SECONDS = 5.0
"""What is still read of a body that is refused: a client that is writing would otherwise see a
broken connection and not the error."""

CLIENT_LEFT = 499

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Observed:
    """Counts and logs every request by its route, and answers what was not foreseen with 500."""

    def __init__(
        self, app: ASGIApp, routes: Iterable[str], count: Callable[[str, int, float], None]
    ) -> None:
        """``routes`` are the paths that are named in metrics; ``count`` gets one, status, time."""
        self._app = app
        self._routes = frozenset(routes)
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and note how it was answered."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), CLIENT_LEFT
        method = scope["method"]
        if method == "HEAD":  # the server below keeps the body back
            scope = {**scope, "method": "GET"}

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _logger.error("a request failed in a way that was not foreseen: %s", where(error))
            if status == CLIENT_LEFT:
                oops = HttpError(500, "this is a bug in edgeguard; its log says where", code="bug")
                await oops.response()(scope, receive, watched)
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            seconds = time.perf_counter() - started
            self._count(route, status, seconds)
            _logger.info("%s %s %d in %.3f s", method, route, status, seconds)
        return None


class Gate:
    """Turns away who may not ask."""

    def __init__(self, app: ASGIApp, settings: Settings, *, loopback: bool) -> None:
        self._app = app
        self._key = settings.api_key
        self._origins = frozenset(settings.cors_origins)
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; answer the rest with an error."""
        body = _Body(receive)
        try:
            if scope["type"] == "http":
                self._check(scope["path"], Headers(scope=scope))
            await self._app(scope, body.receive, send)
        except HttpError as error:
            if error.status == 408 or not await body.drain():
                error.headers["connection"] = "close"
            await error.response()(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        if self._key is None:
            self._check_host(headers)
            self._check_origin(headers)
        elif path not in OPEN_PATHS:
            self._check_key(headers, self._key)

    def _check_host(self, headers: Headers) -> None:
        if self._loopback and not _names_this_machine(headers.get("host", "")):
            raise HttpError(
                403,
                "the Host header names another machine; without an API key only this one is "
                "served: ask for http://localhost, or start the server with --api-key",
                code="foreign_host",
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if origin.partition("://")[2] != headers.get("host"):
            raise HttpError(
                403,
                "web pages of other origins are not served: start the server with --cors-origin "
                "and this page's origin, if it may ask",
                code="foreign_origin",
            )

    def _check_key(self, headers: Headers, key: str) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), key.encode("ascii"))
        if scheme.lower() != "bearer" or not right:
            missing = "this server asks for its API key: send Authorization: Bearer …"
            raise HttpError(
                401,
                "the API key is wrong" if given else missing,
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Bounded:
    """Reads a body whole, up to a limit of bytes and time, for at most so many requests at once."""

    def __init__(self, app: ASGIApp, *, max_body: int, places: int) -> None:
        self._app = app
        self._max_body = max_body
        self._places = places
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on with its whole body, or raise HttpError 408, 413, 503."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        counts = scope["method"] == "POST"  # /health answers at any time
        if counts and self._inside >= self._places:
            raise HttpError(
                503, "too many requests at once", code="queue_full", headers={"retry-after": "1"}
            )
        self._inside += counts
        try:
            body = await self._read(Headers(scope=scope), receive)
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
        finally:
            self._inside -= counts
        return None

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body; None if the client left. Raises HttpError 408 or 413."""
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > self._max_body:
            raise self._too_large()
        try:
            return await asyncio.wait_for(self._gather(receive), BODY_SECONDS)
        except asyncio.TimeoutError:
            raise HttpError(
                408, f"the body did not arrive within {BODY_SECONDS:.0f} s", code="timeout"
            ) from None

    async def _gather(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > self._max_body:
                raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> HttpError:
        return HttpError(
            413, f"the body is larger than {self._max_body} bytes", code="body_too_large"
        )


class _Body:
    """A request's body on its way in, and whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    async def receive(self) -> Message:
        """As ASGI has it."""
        message = await self._receive()
        self._whole = not message.get("more_body", False)
        return message

    async def drain(self) -> bool:
        """Read what is left, within limits; whether that was all."""
        try:
            return self._whole or await asyncio.wait_for(self._discard(), _DRAIN_SECONDS)
        except asyncio.TimeoutError:
            return False

    async def _discard(self) -> bool:
        size = 0
        while not self._whole and size <= _DRAIN_BYTES:
            size += len((await self.receive()).get("body", b""))
        return self._whole


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once more, then what the client does after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
