"""Who may ask: checks the host, the origin and the key.

Without a key, web pages in the user's browser must be kept out: a request must name this machine as
its host (which a page that rebinds its own DNS name cannot do) and must not come from a foreign
origin. Requests refused here, and HttpErrors from further in, become answers. Nothing here reads
the content of a body.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeguard.server.body import Incoming
from edgeguard.server.http_errors import HttpError
from edgeguard.server.observed import id_of
from edgeguard.server.pages import DOCS_ASSETS
from edgeguard.server.settings import Settings

OPEN_PATHS = frozenset(
    {"/", "/docs", *(f"/docs/{name}" for name in DOCS_ASSETS), "/openapi.json", "/health", "/livez"}
)
"""What needs no key: it says nothing about any text."""


class Access:
    """Turns away who may not ask."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        *,
        loopback: bool,
        sockets: Collection[str] = (),
    ) -> None:
        """``loopback``: only this machine can reach the server.

        ``sockets``: the paths at which there is a WebSocket.
        """
        self._app = app
        self._sockets = frozenset(sockets)
        self._key = settings.api_key
        self._origins = frozenset(settings.cors_origins)
        self._names = frozenset(_plain(name) for name in settings.allowed_hosts)
        self._bound = _plain(settings.host)
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; answer the rest with an error."""
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        body = Incoming(receive, waits="expect" in headers)
        try:
            self._check(scope["path"], headers)
            await self._app(scope, body.receive, send)
        except HttpError as error:
            if error.status == 408 or not await body.drain():
                error.headers["connection"] = "close"
            scope["state"]["code"] = error.code
            await error.response(id_of(scope), scope["path"])(scope, receive, send)
        return None

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: what is refused before it is accepted is answered as HTTP."""
        try:
            self._check(scope["path"], Headers(scope=scope))
            if scope["path"] not in self._sockets:
                raise HttpError(404, "there is no WebSocket at this path", code="unknown_path")
            await self._app(scope, receive, send)
        except HttpError as error:
            scope["state"]["code"] = error.code
            await error.response(id_of(scope), scope["path"])(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        if self._key is None or self._names:
            self._check_host(headers.get("host", ""))
        if self._key is None:
            self._check_origin(headers)
        elif path not in OPEN_PATHS:
            self._check_key(headers, self._key)

    def _check_host(self, host: str) -> None:
        if not self._is_ours(host):
            raise HttpError(
                403,
                "the Host header names another machine; without an API key only this one is "
                "served: ask for its address or for http://localhost, or start the server with "
                "--api-key, or with --allowed-host and this name",
                code="foreign_host",
            )

    def _is_ours(self, host: str) -> bool:
        try:
            name = _plain(urlsplit(f"//{host}").hostname or "")
        except ValueError:
            return False
        if name in self._names or name in ("localhost", self._bound):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # A page that rebinds comes by a name. Behind a container's or router's translation a
        # machine does not know its own address, so any address will do where others are served.
        return address.is_loopback or not self._loopback

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
        # LiteLLM's guardrail and clients of Anthropic have a header of their own.
        said = headers.get("authorization") or f"Bearer {headers.get('x-api-key', '')}".strip()
        scheme, _, given = said.partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), key.encode("ascii"))
        if scheme.lower() != "bearer" or not right:
            missing = "this server asks for its API key: send Authorization: Bearer …"
            raise HttpError(
                401,
                "the API key is wrong" if given else missing,
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")
