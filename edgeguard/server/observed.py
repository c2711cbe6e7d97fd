"""Gives every request an id, a line in the log and a count; and lets no exception out.

The id is the client's X-Request-Id if that is well-formed, else made here; it is in the answer's
header, in the log and in errors. The line names the route and never the path, which may quote a
text. This module refuses no request.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeguard.server.http_errors import HttpError
from edgeguard.server.log import log_fields
from edgeguard.server.paths import canonical
from edgeguard.worker.worker import where

_logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
SWITCHED = 101
"""How a WebSocket's handshake was answered, when it was not refused."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"})

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Notes:
    """The log's lines and the counts of one server's requests."""

    def __init__(self, count: Callable[[str, str, int, float], None]) -> None:
        """``count`` gets route, method, status and seconds."""
        self._count = count

    def request(self, method: str, route: str, status: int, scope: Scope, started: float) -> None:
        """Note how a request was answered."""
        client = scope["client"][0] if scope.get("client") else None
        self._note(method, route, status, client, started, **scope["state"])

    def refused(self, status: int, code: str, request_id: str, client: str | None) -> None:
        """Note what never became a request, and was answered all the same."""
        now = time.perf_counter()
        self._note("other", "other", status, client, now, id=request_id, code=code)

    def _note(
        self,
        method: str,
        route: str,
        status: int,
        client: str | None,
        started: float,
        **more: object,
    ) -> None:
        seconds = time.perf_counter() - started
        method = method if method in METHODS else "other"
        self._count(route, method, status, seconds)
        log_fields(
            _logger,
            logging.INFO,
            f"{method} {route} {status}",
            id=more["id"],
            client=client,
            seconds=round(seconds, 4),
            tokens=more.get("tokens"),
            code=more.get("code"),
        )


class Observed:
    """Notes every request by its route, and answers what was not foreseen with 500.

    A WebSocket is one request, which is noted when it ends.
    """

    def __init__(
        self, app: ASGIApp, notes: Notes, route: Callable[[str], str], root_path: str = ""
    ) -> None:
        """``route`` names a path in logs and metrics."""
        self._app = app
        self._notes = notes
        self._route = route
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and note how it was answered."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), CLIENT_LEFT
        method, headers = scope.get("method", "GET"), Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["id"] = _sane(headers.get("x-request-id")) or new_id()
        scope = {**scope, **canonical(scope, self._root)}
        if method == "HEAD":  # the server below keeps the body back
            scope["method"] = "GET"
        # RFC 9112, 6.1: one of the two is a lie, and what follows on the connection may be another.
        closes = "content-length" in headers and "transfer-encoding" in headers

        async def watched(message: Message) -> None:
            nonlocal status
            kind = message["type"]
            if kind.endswith("http.response.start") or kind == "websocket.accept":
                status = message.get("status", SWITCHED)
                message.setdefault("headers", [])
                complete(MutableHeaders(scope=message), state["id"], closes=closes)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            _logger.error("request %s failed in a way not foreseen: %s", state["id"], where(error))
            if status == CLIENT_LEFT:
                oops = HttpError(500, "this is a bug in edgeguard; its log says where", code="bug")
                state["code"] = oops.code
                await oops.response(state["id"], scope["path"])(scope, receive, watched)
            elif status == SWITCHED:
                state["code"] = "bug"
                await send({"type": "websocket.close", "code": 1011})
        finally:
            if not state.get("refused"):
                self._notes.request(method, self._route(scope["path"]), status, scope, started)
        return None


def new_id() -> str:
    """An id for a request that has none."""
    return uuid.uuid4().hex


def id_of(scope: Scope) -> str:
    """The request's id."""
    found: str = scope["state"]["id"]
    return found


def _sane(request_id: str | None) -> str | None:
    """An id that can stand in a header and in a log; another one is not worth a refusal."""
    found = re.fullmatch(r"[A-Za-z0-9._:/+=-]{1,128}", request_id or "")
    return found[0] if found else None


def complete(headers: MutableHeaders, request_id: str, *, closes: bool) -> None:
    """Add what every answer has."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers["x-request-id"] = request_id
    if closes:
        headers["connection"] = "close"
