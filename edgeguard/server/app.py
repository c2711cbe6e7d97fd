"""The ASGI application: the endpoints, and the layers that a request passes before them.

    Observed   its id, its line in the log, the metrics; HEAD as GET; no exception gets out
    Access     who may ask; errors become answers
    Bounded    the body, read completely up to its limit

This module starts no server.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from edgeguard._version import __version__
from edgeguard.server import host_routes, openapi, routes, socket_stream
from edgeguard.server.access import Access
from edgeguard.server.body import Bounded
from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.litellm import Calls
from edgeguard.server.litellm_endpoint import LiteLLMEndpoint
from edgeguard.server.metrics import Metrics
from edgeguard.server.observed import Notes, Observed, id_of
from edgeguard.server.ollama_endpoints import OllamaEndpoints
from edgeguard.server.paths import would_judge
from edgeguard.server.settings import Settings, is_loopback
from edgeguard.server.webhook_endpoints import WebhookEndpoints
from edgeguard.worker.worker import Worker, where

_logger = logging.getLogger(__name__)


def make_app(settings: Settings, worker: Worker) -> FastAPI:
    """The application of one server. The worker is started and stopped with it."""
    connection_limit = ConnectionLimit()
    metrics = Metrics(worker, connection_limit)
    notes = Notes(metrics.request)
    endpoints = Endpoints(worker, metrics, settings)
    router = routes.router(endpoints)
    host_routes.add_ollama(router, OllamaEndpoints(endpoints))
    host_routes.add_webhooks(router, WebhookEndpoints(endpoints))
    host_routes.add_litellm(router, LiteLLMEndpoint(endpoints, Calls(settings.litellm_calls)))
    known = frozenset(route.path for route in router.routes if isinstance(route, APIRoute))
    layers = [
        Middleware(
            Observed,
            notes=notes,
            route=partial(routes.label, known=known),
            root_path=settings.root_path,
        ),
        Middleware(
            Access,
            settings=settings,
            loopback=is_loopback(settings.host),
            sockets=(socket_stream.PATH,),
        ),
        # Twice the queue: those that wait, and as many whose body is arriving.
        Middleware(Bounded, max_body=settings.max_body, places=2 * (settings.queue + 1)),
    ]
    if settings.cors_origins:
        layers.insert(1, cors(settings.cors_origins))
    app = FastAPI(
        version=__version__,
        openapi_url=None,  # these are routes of ours, behind the same layers
        docs_url=None,
        redoc_url=None,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        middleware=layers,
        exception_handlers={HTTPException: _plain_http_error},
        lifespan=partial(_lifespan, worker, {"connection_limit": connection_limit, "notes": notes}),
        redirect_slashes=False,  # some clients lose the body of a POST then
    )
    app.router.routes.extend(router.routes)
    app.openapi = cache(partial(openapi.document, app))  # type: ignore[method-assign]
    return app


def cors(origins: tuple[str, ...]) -> Middleware:
    """The layer that lets the pages of these origins ask."""
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["retry-after", "x-request-id"],
    )


@asynccontextmanager
async def _lifespan(
    worker: Worker, state: dict[str, Any], _app: FastAPI
) -> AsyncIterator[dict[str, Any]]:
    """The state goes to every connection (edgeguard.server.connection)."""
    connection_limit: ConnectionLimit = state["connection_limit"]
    loop_errors(connection_limit)
    worker.start()
    yield state
    await asyncio.to_thread(worker.stop)


def loop_errors(connection_limit: ConnectionLimit) -> None:
    """Have the loop's own errors noted."""
    asyncio.get_running_loop().set_exception_handler(partial(_loop_error, connection_limit))


def _loop_error(
    connection_limit: ConnectionLimit, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """What went wrong outside of any request; its message is asyncio's, and quotes nothing."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        connection_limit.refuse(
            "no_files",
            f"no connection can be accepted: {os.strerror(error.errno)}, with "
            f"{len(connection_limit)} connections open; `ulimit -n` says how many files a "
            "process may have",
        )
    else:
        said = where(error) if error is not None else ""
        _logger.error("%s: %s", context.get("message"), said)


async def _plain_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such path, wrong method) in OpenAI's form."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == 404 and request.method == "POST" and would_judge(path):
        lost = "nothing is judged at this path; see /docs for those where texts are"
        return HttpError(400, lost, code="unknown_path").response(id_of(request.scope), path)
    message = {
        404: "there is no such path; see /docs",
        405: f"the method is not allowed here; allowed: {(error.headers or {}).get('Allow', '')}",
    }.get(error.status_code, error.detail)
    answer = HttpError(error.status_code, message, headers=error.headers)
    return answer.response(id_of(request.scope), path)
