"""The endpoints of Ollama's API; edgeguard.server.ollama has the forms.

This module knows no header and no limit.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edgeguard.server import ollama
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.logprobs import Answered, tokens_of
from edgeguard.server.observed import CLIENT_LEFT
from edgeguard.server.reading import Asked


class OllamaEndpoints:
    """The endpoints of one server that Ollama's clients know."""

    def __init__(self, endpoints: Endpoints) -> None:
        """``endpoints`` are those of the same server; the model and its names are theirs."""
        self._endpoints = endpoints
        self._since = ollama.timestamp(time.time())

    async def chat(self, request: Request, body: ollama.OllamaChatRequest) -> Response:
        """The model's own answer to the last message of a conversation."""
        self._endpoints.check_model(body.model)
        form, texts = ollama.Form.of(body), ollama.texts_of_chat(body)
        del body  # while it waits, a request is its texts
        return await self._reply(request, form, texts)

    async def generate(self, request: Request, body: ollama.OllamaGenerateRequest) -> Response:
        """The model's own answer to a prompt."""
        self._endpoints.check_model(body.model)
        form, texts = ollama.Form.of(body), ollama.texts_of_prompt(body)
        del body
        return await self._reply(request, form, texts)

    async def tags(self) -> Response:
        """The model that is loaded, under each of its names."""
        guard = self._endpoints.loaded()
        names = self._endpoints.names.listed(guard.model.name)
        return JSONResponse(ollama.tags(guard, names, self._since))

    async def ps(self) -> Response:
        """The model, if it is in memory."""
        guard = self._endpoints.loaded()
        return JSONResponse(ollama.running(guard) if guard.is_loaded else {"models": []})

    async def show(self, body: ollama.OllamaNameRequest) -> Response:
        """One of the model's names."""
        self._check(body)
        return JSONResponse(ollama.shown(self._endpoints.loaded(), self._since))

    async def pull(self, body: ollama.OllamaNameRequest) -> Response:
        """Programs pull their model before they use it; that of this server is here."""
        self._check(body)
        return Response('{"status": "success"}\n', media_type=ollama.LINES)

    async def version(self) -> Response:
        """The version of Ollama whose API this is."""
        return JSONResponse(ollama.version())

    def _check(self, body: ollama.OllamaNameRequest) -> None:
        name = body.model or body.name
        if name is None:
            raise HttpError(400, "model: it is missing", code="missing_required_parameter")
        self._endpoints.check_model(name)

    async def _reply(self, request: Request, form: ollama.Form, texts: list[Asked]) -> Response:
        started = time.perf_counter()
        model = self._endpoints.loaded().model.name
        answered: Answered | HttpError | None = None
        if texts:
            judged = await self._endpoints.judging.judge(
                request, texts, tokens_of, lambda answered: answered.verdict
            )
            if judged is None:
                return Response(status_code=CLIENT_LEFT)
            (answered,) = judged
        assert not isinstance(answered, HttpError)
        reply = ollama.Reply(form, model, answered, started)
        if form.stream:
            return StreamingResponse(reply.lines(), media_type=ollama.LINES)
        return JSONResponse(reply.whole())
