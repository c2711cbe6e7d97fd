"""The ASGI application: routes, and what holds them together.

Each endpoint reads its body, asks the worker for verdicts, and writes them in its own form; the
forms are in edgeguard.server.chat, moderations and native. A client that leaves while it waits
gives up its place. This module starts no server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgeguard.errors import EdgeguardError
from edgeguard.guard import Guard
from edgeguard.server import chat, moderations, native, openapi, pages
from edgeguard.server.gate import CLIENT_LEFT, Bounded, Gate, Observed
from edgeguard.server.http_errors import HttpError, translate
from edgeguard.server.metrics import CONTENT_TYPE, Metrics
from edgeguard.server.requests import Conversation, read
from edgeguard.server.settings import Settings, is_loopback
from edgeguard.server.worker import NotReadyError, QueueFullError, Worker
from edgeguard.verdict import Verdict

T = TypeVar("T")

OFFICIAL_NAMES = ("Qwen/Qwen3Guard-Gen-0.6B", "Qwen3Guard-Gen-0.6B")
"""Names under which clients know the model; the one that is loaded answers to them."""


def make_app(settings: Settings, worker: Worker) -> Starlette:
    """The application of one server. The worker is started and stopped with it."""
    metrics = Metrics(lambda: worker.depth, lambda: worker.state == "ready")
    routes = _Endpoints(worker, metrics).routes()
    layers = [
        Middleware(Observed, routes=[route.path for route in routes], count=metrics.request),
        Middleware(Gate, settings=settings, loopback=is_loopback(settings.host)),
        # Twice the queue: those that wait, and as many whose body is arriving.
        Middleware(Bounded, max_body=settings.max_body, places=2 * (settings.queue + 1)),
    ]
    if settings.cors_origins:
        layers.insert(1, _cors(settings.cors_origins))
    app = Starlette(
        routes=routes,
        middleware=layers,
        exception_handlers={HTTPException: _plain_http_error},
        lifespan=partial(_lifespan, worker),
    )
    app.router.redirect_slashes = False  # some clients lose the body of a POST then
    return app


def _cors(origins: tuple[str, ...]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["retry-after"],
    )


@asynccontextmanager
async def _lifespan(worker: Worker, _app: Starlette) -> AsyncIterator[None]:
    worker.start()
    yield
    await asyncio.to_thread(worker.stop)


async def _plain_http_error(_request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such path, wrong method) in OpenAI's form."""
    assert isinstance(error, HTTPException)
    message = {
        404: "there is no such path; see /docs",
        405: f"the method is not allowed here; allowed: {(error.headers or {}).get('Allow', '')}",
    }.get(error.status_code, error.detail)
    return HttpError(error.status_code, message, headers=error.headers).response()


class _Endpoints:
    """The endpoints of one server."""

    def __init__(self, worker: Worker, metrics: Metrics) -> None:
        self._worker = worker
        self._metrics = metrics
        self._started = int(time.time())

    def routes(self) -> list[Route]:
        get, post = ["GET"], ["POST"]
        return [
            Route("/", self.page, methods=get),
            Route("/docs", self.docs, methods=get),
            Route("/openapi.json", self.openapi, methods=get),
            Route("/health", self.health, methods=get),
            Route("/metrics", self.metrics, methods=get),
            Route("/v1/models", self.models, methods=get),
            Route("/v1/chat/completions", self.chat, methods=post),
            Route("/v1/moderations", self.moderations, methods=post),
            Route("/v1/guard", self.guard, methods=post),
        ]

    async def page(self, _request: Request) -> Response:
        return HTMLResponse(pages.PAGE.html, headers=pages.PAGE.headers)

    async def docs(self, _request: Request) -> Response:
        return HTMLResponse(pages.DOCS.html, headers=pages.DOCS.headers)

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(openapi.document())

    async def health(self, _request: Request) -> Response:
        guard = self._worker.guard
        if self._worker.state != "ready" or guard is None:
            state = {"status": self._worker.state, "reason": self._worker.reason}
            return JSONResponse(state, 503, headers={"retry-after": "1"})
        model = {"model": guard.model.name, "type": guard.model.type, "sha256": guard.model.sha256}
        return JSONResponse({"status": "ok", **model})

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def models(self, _request: Request) -> Response:
        loaded = self._loaded().model.name
        cards = [
            {
                "id": name,
                "object": "model",
                "created": self._started,
                "owned_by": "edgeguard",
                "root": loaded,
            }
            for name in dict.fromkeys((loaded, *OFFICIAL_NAMES))
        ]
        return JSONResponse({"object": "list", "data": cards})

    async def chat(self, request: Request) -> Response:
        body = await read(request, chat.ChatRequest)
        chat.check(body)
        self._check_model(body.model)
        messages = chat.messages_of(body)
        judged = await self._judge(request, [partial(chat.judge, messages=messages)])
        if judged is None:
            return Response(status_code=CLIENT_LEFT)
        self._metrics.verdict(judged[0].verdict)
        completion = chat.Completion(body, judged[0])
        if body.stream:
            return StreamingResponse(completion.stream(), media_type="text/event-stream")
        return JSONResponse(completion.whole())

    async def moderations(self, request: Request) -> Response:
        body = await read(request, moderations.ModerationRequest)
        self._check_model(body.model, *moderations.MODELS)
        verdicts = await self._verdicts(request, moderations.conversations(body))
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(moderations.response(verdicts))

    async def guard(self, request: Request) -> Response:
        body = await read(request, native.GuardRequest)
        verdicts = await self._verdicts(request, native.conversations(body))
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(native.response(body, verdicts))

    async def _verdicts(
        self, request: Request, conversations: list[Conversation]
    ) -> list[Verdict] | None:
        calls = [partial(Guard.check_messages, messages=messages) for messages in conversations]
        verdicts = await self._judge(request, calls)
        for verdict in verdicts or []:
            self._metrics.verdict(verdict)
        return verdicts

    async def _judge(
        self, request: Request, calls: Sequence[Callable[[Guard], T]]
    ) -> list[T] | None:
        """What the worker says; None if the client left before its turn. Raises HttpError."""
        try:
            return await _unless_left(request, self._worker.run(calls))
        except NotReadyError as error:
            raise _come_back(str(error), "not_ready", 5) from None
        except QueueFullError as error:
            raise _come_back(str(error), "queue_full", error.retry_after) from None
        except EdgeguardError as error:
            raise translate(error) from None

    def _loaded(self) -> Guard:
        if self._worker.state != "ready" or self._worker.guard is None:
            raise _come_back(self._worker.reason, "not_ready", 5)
        return self._worker.guard

    def _check_model(self, name: str | None, *more: str) -> None:
        loaded = self._loaded().model.name
        if name is not None and name not in (loaded, *OFFICIAL_NAMES, *more):
            raise HttpError(
                404,
                f"this model is not served here; {loaded} is (see /v1/models)",
                code="model_not_found",
                param="model",
            )


def _come_back(reason: str, code: str, seconds: int) -> HttpError:
    return HttpError(503, reason, code=code, headers={"retry-after": str(seconds)})


async def _unless_left(request: Request, work: Awaitable[T]) -> T | None:
    """The result of the work, which is cancelled when the client leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
