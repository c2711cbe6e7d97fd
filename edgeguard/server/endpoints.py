"""The endpoints: each reads its body, has it judged, and writes the answer in its own form.

The forms are in edgeguard.server.chat, moderations and native; edgeguard.server.judging has texts
judged. This module knows no header and no limit.
"""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgeguard.guard import Guard
from edgeguard.server import chat, moderations, native, openapi, pages
from edgeguard.server.chat import Form
from edgeguard.server.http_errors import HttpError
from edgeguard.server.judging import Judging, come_back
from edgeguard.server.logprobs import tokens_of
from edgeguard.server.metrics import CONTENT_TYPE, Metrics
from edgeguard.server.observed import CLIENT_LEFT
from edgeguard.server.requests import Asked, B, read
from edgeguard.server.settings import Settings
from edgeguard.worker.worker import Worker

OFFICIAL_NAMES = ("Qwen/Qwen3Guard-Gen-0.6B", "Qwen3Guard-Gen-0.6B")
"""Names under which clients know the model; the one that is loaded answers to them."""
_MODELS = "/v1/models/"


class Endpoints:
    """The endpoints of one server."""

    def __init__(self, worker: Worker, metrics: Metrics, settings: Settings) -> None:
        self._worker = worker
        self._metrics = metrics
        self._reading = asyncio.Lock()
        self._judging = Judging(worker, metrics)
        self._root_path = settings.root_path
        self._started = int(time.time())
        self._paths = {route.path for route in self.routes()}

    def routes(self) -> list[Route]:
        """Where each of them is."""
        get, post = ["GET"], ["POST"]
        return [
            Route("/", self.page, methods=get),
            Route("/docs", self.docs, methods=get),
            Route("/openapi.json", self.openapi, methods=get),
            Route("/livez", self.livez, methods=get),
            Route("/health", self.health, methods=get),
            Route("/metrics", self.metrics, methods=get),
            Route("/v1/models", self.models, methods=get),
            Route(f"{_MODELS}{{model:path}}", self.model, methods=get),
            Route("/v1/chat/completions", self.chat, methods=post),
            Route("/v1/moderations", self.moderations, methods=post),
            Route("/v1/guard", self.guard, methods=post),
        ]

    def label(self, path: str) -> str:
        """The name of a path in logs and metrics; what a client made up is `other`."""
        if path.startswith(_MODELS):
            return f"{_MODELS}{{model}}"
        return path if path in self._paths else "other"

    async def page(self, _request: Request) -> Response:
        """The page to try it on."""
        return HTMLResponse(pages.PAGE.html, headers=pages.PAGE.headers)

    async def docs(self, _request: Request) -> Response:
        """The API, for a person."""
        return HTMLResponse(pages.DOCS.html, headers=pages.DOCS.headers)

    async def openapi(self, _request: Request) -> Response:
        """The API, for a program."""
        return JSONResponse(openapi.document(self._root_path))

    async def livez(self, _request: Request) -> Response:
        """Alive: the event loop answers."""
        return JSONResponse({"status": "ok"})

    async def health(self, _request: Request) -> Response:
        """Ready: texts can be judged, and how busy the model is."""
        guard, queue = self._worker.guard, self._worker.queue
        if self._worker.state != "ready" or guard is None:
            state = {"status": self._worker.state, "reason": self._worker.reason}
            return JSONResponse(state, 503, headers={"retry-after": "1"})
        model = {"model": guard.model.name, "type": guard.model.type, "sha256": guard.model.sha256}
        waiting = {
            "waiting": queue.depth,
            "capacity": queue.places,
            "oldest_wait_seconds": round(queue.oldest_wait, 3),
        }
        busy = {"busy_seconds": round(queue.busy_seconds, 3)}
        return JSONResponse({"status": "ok", **model, "queue": waiting, **busy})

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def models(self, _request: Request) -> Response:
        """The model that is loaded, under each of its names."""
        names = dict.fromkeys((self._loaded().model.name, *OFFICIAL_NAMES))
        return JSONResponse({"object": "list", "data": [self._card(name) for name in names]})

    async def model(self, request: Request) -> Response:
        """One of these."""
        name = request.path_params["model"]
        self._check_model(name)
        return JSONResponse(self._card(name))

    async def chat(self, request: Request) -> Response:
        """The model's own answer, as vLLM serves it."""
        form, texts = await self._read_chat(request)
        judged = await self._judging.judge(
            request, texts, tokens_of, lambda answered: answered.verdict
        )
        if judged is None:
            return Response(status_code=CLIENT_LEFT)
        (answered,) = judged
        assert not isinstance(answered, HttpError)
        completion = chat.Completion(form, answered)
        if form.stream:
            return StreamingResponse(completion.stream(), media_type="text/event-stream")
        return JSONResponse(completion.whole())

    async def moderations(self, request: Request) -> Response:
        """OpenAI's moderation."""
        body = await self._read(request, moderations.ModerationRequest)
        self._check_model(body.model, *moderations.MODELS)
        texts = moderations.texts_of(body)
        del body  # while it waits, a request is its texts
        verdicts = await self._judging.verdicts(request, texts)
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(moderations.response(self._loaded().model.name, verdicts))

    async def guard(self, request: Request) -> Response:
        """edgeguard's own verdicts."""
        body = await self._read(request, native.GuardRequest)
        texts, is_list = native.texts_of(body), native.is_list(body)
        del body
        verdicts = await self._judging.verdicts(request, texts)
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        if is_list:
            return JSONResponse(native.response(verdicts))
        (verdict,) = verdicts
        return JSONResponse(verdict.to_dict())

    async def _read(self, request: Request, model: type[B]) -> B:
        """One body after the other, and others are served in between."""
        async with self._reading:
            return await read(request, model)

    async def _read_chat(self, request: Request) -> tuple[Form, list[Asked]]:
        body = await self._read(request, chat.ChatRequest)
        chat.check(body)
        self._check_model(body.model)
        return Form.of(body), chat.texts_of(body)

    def _loaded(self) -> Guard:
        if self._worker.state != "ready" or self._worker.guard is None:
            raise come_back(self._worker.reason, "not_ready", 5)
        return self._worker.guard

    def _card(self, name: str) -> dict[str, object]:
        return {
            "id": name,
            "object": "model",
            "created": self._started,
            "owned_by": "edgeguard",
            "root": self._loaded().model.name,
        }

    def _check_model(self, name: str | None, *more: str) -> None:
        loaded = self._loaded().model.name
        if name is not None and name not in (loaded, *OFFICIAL_NAMES, *more):
            raise HttpError(
                404,
                f"this model is not served here; {loaded} is (see /v1/models)",
                code="model_not_found",
                param="model",
            )
