"""The application: the layers of the server, and inside them the proxy itself.

    Observed, Access, Bounded   as in edgeguard.server
    Proxy                       reads a request, asks guard and upstream, answers

It decides nothing about a request; see edgeguard.proxy.proxy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeguard.async_guard import AsyncGuard
from edgeguard.proxy.judge import Judge
from edgeguard.proxy.paths import label, meant
from edgeguard.proxy.proxy import Proxy
from edgeguard.proxy.requests import FORMS
from edgeguard.proxy.settings import ProxySettings
from edgeguard.proxy.upstream import Upstream
from edgeguard.server.access import Access
from edgeguard.server.app import cors, loop_errors
from edgeguard.server.body import Bounded
from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.metrics import CONTENT_TYPE, Metrics
from edgeguard.server.observed import Notes, Observed
from edgeguard.server.settings import Settings, is_loopback
from edgeguard.worker.worker import Worker


def make_app(
    proxy: ProxySettings,
    settings: Settings,
    worker: Worker,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """The application of one proxy. It starts and stops the worker."""
    connection_limit = ConnectionLimit()
    metrics = Metrics(worker, connection_limit)
    notes = Notes(metrics.request)
    guard = AsyncGuard.on_worker(worker)
    judge = Judge(guard, proxy, metrics)
    upstream = Upstream(proxy, transport)
    own = Endpoints(worker, metrics, settings)
    layers = [
        Middleware(Observed, notes=notes, route=label, root_path=settings.root_path),
        Middleware(_AnyKey, wanted=settings.api_key is not None),
        Middleware(Access, settings=settings, loopback=is_loopback(settings.host)),
        Middleware(
            Bounded,
            max_body=settings.max_body,
            places=2 * (settings.queue + 1),
            any_kind=lambda path: meant(path) not in FORMS,
        ),
    ]
    if settings.cors_origins:
        layers.insert(1, cors(settings.cors_origins))

    async def health(_request: Request) -> Response:
        return await own.health()

    async def livez(_request: Request) -> Response:
        return await own.livez()

    async def show(_request: Request) -> Response:
        return Response(
            metrics.text() + judge.counts.text(), headers={"content-type": CONTENT_TYPE}
        )

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/livez", livez),
            Route("/metrics", show),
            Mount("/", app=Proxy(proxy, judge, upstream)),
        ],
        middleware=layers,
        lifespan=partial(
            _lifespan,
            worker,
            judge,
            upstream,
            {"connection_limit": connection_limit, "notes": notes},
        ),
    )


@asynccontextmanager
async def _lifespan(
    worker: Worker, judge: Judge, upstream: Upstream, state: dict[str, Any], _app: Starlette
) -> AsyncIterator[dict[str, Any]]:
    loop_errors(state["connection_limit"])
    worker.start()
    yield state
    await upstream.close()
    await judge.guard.close()
    judge.audit.close()


class _AnyKey:
    """Accepts the key from the headers that Anthropic's and Azure's clients use."""

    def __init__(self, app: ASGIApp, wanted: bool) -> None:
        self._app = app
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Copy it to the header where the server looks for it."""
        if scope["type"] == "http" and self._wanted:
            headers = MutableHeaders(scope=scope)
            key = headers.get("x-api-key") or headers.get("api-key")
            if key and "authorization" not in headers:
                headers["authorization"] = f"Bearer {key}"
        await self._app(scope, receive, send)
