"""The endpoints: each gets its body, has it judged, and writes the answer in its own form.

Their docstrings appear in the OpenAPI document (edgeguard.server.routes). The forms are in
edgeguard.server.chat, moderations and native; edgeguard.server.judging has texts judged. This
module knows no header and no limit.
"""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.websockets import WebSocket

from edgeguard.guard import Guard
from edgeguard.policy import OFFICIAL, Policy
from edgeguard.server import chat, moderations, native, pages, socket_stream, watching
from edgeguard.server.http_errors import HttpError
from edgeguard.server.judging import Judging, come_back
from edgeguard.server.logprobs import tokens_of
from edgeguard.server.metrics import CONTENT_TYPE, Metrics
from edgeguard.server.names import Names
from edgeguard.server.observed import CLIENT_LEFT
from edgeguard.server.paths import OPENAI_KEYS, RESPONSE
from edgeguard.server.requests import B, read
from edgeguard.server.settings import Settings
from edgeguard.server.watching import Watching
from edgeguard.worker.worker import Worker


class Endpoints:
    """The endpoints of one server."""

    def __init__(self, worker: Worker, metrics: Metrics, settings: Settings) -> None:
        self._worker = worker
        self._metrics = metrics
        self._reading = asyncio.Lock()
        self.judging = Judging(worker, metrics)
        self._watching = Watching(worker, metrics, settings.queue)
        self._more_policies = settings.policies
        self.names = Names(settings.aliases, settings.any_model)
        self._started = int(time.time())

    async def page(self) -> Response:
        """The page to try it on."""
        return HTMLResponse(pages.PAGE.html, headers=pages.PAGE.headers)

    async def docs(self) -> Response:
        """The API, for a person."""
        page = pages.docs()
        return HTMLResponse(page.html, headers=page.headers)

    async def docs_asset(self, name: str) -> Response:
        """What that page loads: Swagger UI, as a package of Python brings it."""
        asset = pages.docs_asset(name)
        if asset is None:
            raise HTTPException(404)
        return Response(asset.content, headers={"content-type": asset.kind})

    async def openapi(self, request: Request) -> Response:
        """The API, for a program."""
        return JSONResponse(request.app.openapi())

    async def livez(self) -> Response:
        """Whether the server answers at all, with or without a model."""
        return JSONResponse({"status": "ok"})

    async def health(self) -> Response:
        """Whether texts can be judged, and how busy the model is.

        `idle` is ready too: the model's memory was given back, and the next request loads it.
        """
        guard, queue = self._worker.guard, self._worker.queue
        if self._worker.state != "ready" or guard is None:
            state = {"status": self._worker.state, "reason": self._worker.reason}
            return JSONResponse(state, 503, headers={"retry-after": "1"})
        return JSONResponse(
            {
                "status": "ok" if guard.is_loaded else "idle",
                "model": guard.model.name,
                "type": guard.model.type,
                "sha256": guard.model.sha256,
                "policies": [*self._policies(guard)],
                "queue": {
                    "waiting": queue.depth,
                    "capacity": queue.places,
                    "oldest_wait_seconds": round(queue.oldest_wait, 3),
                },
                "busy_seconds": round(queue.busy_seconds, 3),
            }
        )

    async def metrics(self) -> Response:
        """Counts and times in Prometheus' text format, never a text."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def models(self) -> Response:
        """The model that is loaded, under each of its names; requests may give any of them."""
        names = self.names.listed(self.loaded().model.name)
        return JSONResponse({"object": "list", "data": [self._card(name) for name in names]})

    async def model(self, model: str) -> Response:
        """One of the names of the model that is loaded."""
        self.check_model(model)
        return JSONResponse(self._card(model))

    async def chat(self, request: Request, body: chat.ChatRequest) -> Response:
        """Judges the last message of a conversation, and answers in the model's own words.

        As vLLM serves Qwen3Guard-Gen, with the probabilities of its tokens where asked for.
        Parameters of sampling are accepted and mean nothing: the answer is decided.
        """
        chat.check(body)
        self.check_model(body.model)
        form, texts = chat.Form.of(body), chat.texts_of(body)
        del body  # while it waits, a request is its texts
        judged = await self.judging.judge(
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

    async def moderations(self, request: Request, body: moderations.ModerationRequest) -> Response:
        """Judges a text, several, or a conversation, and answers in OpenAI's form.

        Each result has the whole verdict in its `edgeguard` block. The keys of which the model
        knows nothing are false and 0. A text is taken for a user's, or for an answer where `mode`
        is `response`; the header X-Edgeguard-Mode and the path /response/v1/moderations say the
        same. Under /openai-keys/v1/moderations, what has no key of OpenAI's fills `illicit` too.
        """
        self.check_model(body.model, moderation=True)
        said = request.scope["state"]["said"]
        mode = moderations.mode_of(
            body,
            request.headers.get(moderations.MODE_HEADER),
            "response" if RESPONSE in said else "prompt",
        )
        texts = moderations.texts_of(body, self.options(body.policy), mode)
        del body
        verdicts = await self.judging.verdicts(request, texts)
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        answer = moderations.response(self.loaded().model.name, verdicts)
        return JSONResponse(moderations.in_openai_keys(answer) if OPENAI_KEYS in said else answer)

    async def guard(self, request: Request, body: native.GuardRequest) -> Response:
        """Judges a prompt, a response or a conversation, or many in `inputs`.

        The answer is the verdict, or `verdicts` where `inputs` were given; a text of a list that
        cannot be judged has its error in its place.
        """
        options = self.options(body.root.policy, body.root.category_probabilities)
        texts, is_list = native.texts_of(body, options), native.is_list(body)
        del body
        verdicts = await self.judging.verdicts(request, texts)
        if verdicts is None:
            return Response(status_code=CLIENT_LEFT)
        if is_list:
            return JSONResponse(native.response(verdicts))
        (verdict,) = verdicts
        return JSONResponse(verdict.to_dict())

    async def stream(self, body: watching.StreamRequest) -> Response:
        """Judges a response sentence by sentence, and says how far it may be shown.

        Server-sent events: the verdict of the `prompt`, a `state` after each pass, and at the end
        the `verdict`, or an `error`. A WebSocket at the same path takes a response in pieces while
        it is written: docs/streams.md says how.
        """
        options = self._options_of(body)
        self.loaded()
        events = await self._watching.events(body, options)
        return StreamingResponse(events, media_type="text/event-stream")

    async def socket(self, socket: WebSocket) -> None:
        """Judges a response while it is written; see edgeguard.server.socket_stream."""
        self.loaded()
        await socket_stream.serve(socket, self._watching, self._options_of)

    def _options_of(self, body: watching.WatchRequest) -> dict[str, object]:
        return self.options(body.policy, body.category_probabilities)

    async def read(self, request: Request, model: type[B]) -> B:
        """One body after the other, and others are served in between."""
        async with self._reading:
            return await read(request, model)

    def options(
        self, policy: str | None, category_probabilities: bool | None = None
    ) -> dict[str, object]:
        """What a request says to Guard.begin. Raises HttpError 400."""
        options: dict[str, object] = {}
        if policy is not None:
            options["policy"] = self._named(policy)
        if category_probabilities:
            options["category_probabilities"] = True
        return options

    def _named(self, policy: str) -> Policy:
        known = self._policies(self.loaded())
        if policy not in known:
            raise HttpError(
                400,
                f"policy: this server was not started with it; it has: {', '.join(known)}",
                param="policy",
                code="unknown_policy",
            )
        return known[policy]

    def _policies(self, guard: Guard) -> dict[str, Policy]:
        """What a request may name; the first is that of requests that name none."""
        known = (guard.policy, *self._more_policies, *OFFICIAL.values())
        return {policy.name: policy for policy in known}

    def loaded(self) -> Guard:
        """The guard. Raises HttpError 503 where there is none yet."""
        if self._worker.state != "ready" or self._worker.guard is None:
            raise come_back(self._worker.reason, "not_ready", 5)
        return self._worker.guard

    def _card(self, name: str) -> dict[str, object]:
        return {
            "id": name,
            "object": "model",
            "created": self._started,
            "owned_by": "edgeguard",
            "root": self.loaded().model.name,
        }

    def check_model(self, name: str | None, *, moderation: bool = False) -> None:
        """Raise HttpError for a name that another model has."""
        loaded = self.loaded().model.name
        if not self.names.serve(name, loaded, moderation=moderation):
            # To openai-guardrails, a 404 of the moderation means: send the text to OpenAI.
            raise HttpError(
                400 if moderation else 404,
                f"this model is not served here; {loaded} is (see /v1/models). For it to answer to "
                "other names, start the server with --alias NAME or --any-model",
                code="model_not_found",
                param="model",
            )
