"""The application: the layers of the server, and inside them the proxy itself.

    Observed, Access, Bounded   as in edgeguard.server
    Proxy                       reads a request, asks guard and upstream, answers

When the client leaves, everything that was begun for it ends.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgeguard.async_guard import AsyncGuard
from edgeguard.conversation.reader import Reading
from edgeguard.proxy import refusals, whole
from edgeguard.proxy.judge import Case, Decision, Judge
from edgeguard.proxy.requests import FORMS, Asked, Form, asked
from edgeguard.proxy.settings import ProxySettings
from edgeguard.proxy.streaming import Streaming
from edgeguard.proxy.upstream import Upstream, chunks, read
from edgeguard.server.access import Access
from edgeguard.server.app import cors, loop_errors
from edgeguard.server.body import Bounded
from edgeguard.server.connection_limit import ConnectionLimit
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.json_body import parse
from edgeguard.server.metrics import CONTENT_TYPE, Metrics
from edgeguard.server.observed import Notes, Observed, id_of
from edgeguard.server.settings import Settings, is_loopback
from edgeguard.worker.worker import Worker

_OWN = ("/health", "/livez", "/metrics")
_MODELS = "/v1/models"
_SENSITIVE = "x-edgeguard-"


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
        Middleware(Observed, notes=notes, route=_label, root_path=settings.root_path),
        Middleware(_AnyKey, wanted=settings.api_key is not None),
        Middleware(Access, settings=settings, loopback=is_loopback(settings.host)),
        Middleware(
            Bounded,
            max_body=settings.max_body,
            places=2 * (settings.queue + 1),
            any_kind=lambda path: _meant(path) not in FORMS,
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


class Proxy:
    """Answers requests to the upstream."""

    def __init__(self, settings: ProxySettings, judge: Judge, upstream: Upstream) -> None:
        self._settings = settings
        self._judge = judge
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as long as its client is connected."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = Request(scope, receive)
        body = await request.body()
        working = asyncio.ensure_future(self._answer(request, body, send, started))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            working.cancel()
            await asyncio.wait({working})
        if not working.cancelled():
            working.result()

    async def _answer(self, request: Request, body: bytes, send: Send, started: float) -> None:
        path = _path(request)
        form = FORMS.get(path)
        try:
            if form is not None and request.method == "POST":
                await self._guarded(request, form, body, send, started)
            else:
                await self._unknown(request, path, body, send)
        except HttpError as error:
            request.scope["state"]["code"] = error.code
            answer = error.response(id_of(request.scope), path)
            await answer(request.scope, request.receive, send)

    async def _unknown(self, request: Request, path: str, body: bytes, send: Send) -> None:
        """Pass on an unknown path that was allowed by name. Raises HttpError 404 for the rest."""
        lists = request.method == "GET" and (path == _MODELS or path.startswith(f"{_MODELS}/"))
        if lists or self._settings.allows(path):
            await self._passed(request, path, body, send, {})
            return
        self._judge.case(id_of(request.scope), "other").unread("prompt", "not_allowed")
        if not self._settings.observe:
            raise HttpError(
                404,
                "the guard does not know this path, so it is not passed on: start the proxy with "
                f"--allow {_top(path)}, if it may pass unjudged",
                code="not_allowed",
            )
        await self._passed(request, path, body, send, _NOT_JUDGED)

    async def _passed(
        self, request: Request, path: str, body: bytes, send: Send, marks: dict[str, str]
    ) -> None:
        """Pass on the bytes of a request and of its answer, unjudged."""
        response = await self._send(request, path, body or None)
        try:
            await self._stream(send, response, chunks(response), marks)
        finally:
            await response.aclose()

    async def _guarded(
        self, request: Request, form: Form, body: bytes, send: Send, started: float
    ) -> None:
        case = self._judge.case(id_of(request.scope), FORMS_NAMES[form])
        try:
            said = self._asked(form, body)
        except HttpError as error:
            case.unread("prompt", error.code or "")
            if not self._settings.observe:
                raise
            await self._passed(request, _path(request), body, send, _NOT_JUDGED)
            return
        sending: asyncio.Future[httpx.Response] | None = None
        response: httpx.Response | None = None
        watch = None
        try:
            if self._settings.prompt == "parallel" and form not in _WITHOUT_ANSWER:
                sending = asyncio.ensure_future(self._send(request, _path(request), said.body))
            if said.streams:
                decision, watch = await case.begin(said)
            else:
                found = await case.prompt(said.parts)
                assert found is not None
                decision = found
            if decision.stops:
                await self._refuse(request, said, decision, send)
                return
            sending = sending or asyncio.ensure_future(
                self._send(request, _path(request), said.body)
            )
            response = await sending
            await self._judged(request, said, case, decision, response, watch, send, started)
        finally:
            # Started first and shielded: if the client leaves now, whatever is awaited here is
            # cancelled.
            ending = asyncio.ensure_future(_ended(sending))
            try:
                if watch is not None:
                    await watch.__aexit__(None, None, None)
            finally:
                await asyncio.shield(ending)

    async def _judged(
        self,
        request: Request,
        said: Asked,
        case: Case,
        decision: Decision,
        response: httpx.Response,
        watch: Any,
        send: Send,
        started: float,
    ) -> None:
        marks = self._marks(prompt=decision)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code >= 300:
            await self._error(request, case, response, marks, send)
        elif kind == "text/event-stream":
            if watch is None and not decision.failed:
                raise HttpError(502, "the upstream streams unasked", code="upstream_garbage")
            first = partial(self._first, started)
            streaming = Streaming(said, case, self._settings, watch, first)
            await self._stream(send, response, streaming.body(chunks(response)), marks)
        else:
            await self._whole(request, said, case, response, marks, send)

    def _first(self, started: float) -> None:
        self._judge.counts.first(time.perf_counter() - started)

    async def _whole(
        self,
        request: Request,
        said: Asked,
        case: Case,
        response: httpx.Response,
        marks: dict[str, str],
        send: Send,
    ) -> None:
        body = await read(response)
        try:
            found = whole.read_answer(
                body,
                said=said.said,
                skip_media=self._settings.skip_media,
                tokens=self._settings.allows("logprobs"),
            )
            body, text = found.body, found.text
            decision = await case.answer(said, text) if text else case.empty()
        except HttpError as error:
            case.unread("answer", error.code or "")
            if not self._settings.observe:
                raise
            decision = Decision(False, None)
        if decision.stops:
            await self._refuse(request, said, decision, send)
            return
        marks |= self._marks(answer=decision)
        headers = self._upstream.answer_headers(response) | marks
        answer = Response(body, response.status_code, headers)
        await answer(request.scope, request.receive, send)

    async def _error(
        self,
        request: Request,
        case: Case,
        response: httpx.Response,
        marks: dict[str, str],
        send: Send,
    ) -> None:
        """Pass on an error of the upstream; its text is judged like an answer."""
        body = await read(response)
        text = whole.error_text(body)
        decision = await case.error(text) if text else Decision(False, None)
        headers = self._upstream.answer_headers(response) | marks
        if decision.stops:
            flagged = decision.verdict is not None
            raise HttpError(
                response.status_code,
                f"the upstream failed; what it says of it "
                f"{'was stopped by a content filter' if flagged else 'could not be judged'}",
                code="content_filter" if flagged else "judging_failed",
                headers={k: v for k, v in headers.items() if k.lower() == "retry-after"},
            )
        said = self._upstream.without_key(body.decode("latin-1")).encode("latin-1")
        await Response(said, response.status_code, headers)(request.scope, request.receive, send)

    def _asked(self, form: Form, body: bytes) -> Asked:
        reading = Reading(False, True, self._settings.skip_media)
        return asked(form, parse(body), reading, self._settings.allows)

    async def _refuse(self, request: Request, said: Asked, decision: Decision, send: Send) -> None:
        """Answer instead of the upstream. Raises HttpError if the refusal is an error."""
        if decision.verdict is None:
            raise HttpError(
                503,
                "the guard could not judge this, so it is not passed on",
                code="judging_failed",
                headers={"retry-after": "1"},
            )
        if self._settings.block == "error" or said.form in _WITHOUT_ANSWER:
            raise refusals.error(self._settings.refusal)
        request.scope["state"]["code"] = "content_filter"
        text = self._settings.refusal
        if said.streams:
            events = refusals.stream(said, text, refusals.Shown())
            body = b"".join(event.raw() for event in events)
            answer = Response(body, headers={"content-type": "text/event-stream; charset=utf-8"})
        else:
            answer = JSONResponse(refusals.whole(said, text))
        await answer(request.scope, request.receive, send)

    async def _send(self, request: Request, path: str, body: object) -> httpx.Response:
        return await self._upstream.send(
            request.method, path, request.url.query, request.headers, body
        )

    async def _stream(
        self,
        send: Send,
        response: httpx.Response,
        body: AsyncIterator[bytes],
        marks: dict[str, str],
    ) -> None:
        """Send a body as it comes; the upstream's key is removed from errors."""
        headers = self._upstream.answer_headers(response) | marks
        raw = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in headers.items()
        ]
        status = response.status_code
        if status >= 400:
            found = await read(response)
            body = _once(self._upstream.without_key(found.decode("latin-1")).encode("latin-1"))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        async with aclosing(body) as parts:  # type: ignore[type-var]
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _marks(self, **decisions: Decision) -> dict[str, str]:
        """Headers with the decisions, if these do not block anything."""
        if not (self._settings.observe or self._settings.fail_open):
            return {}
        return {f"{_SENSITIVE}{stage}": decision.word for stage, decision in decisions.items()}


_WITHOUT_ANSWER = ("embeddings", "tokens")
"""Forms whose answers are numbers."""
_NOT_JUDGED = {f"{_SENSITIVE}{stage}": "not judged" for stage in ("prompt", "answer")}
FORMS_NAMES: dict[Form, str] = {form: path for path, form in FORMS.items()}


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _ended(sending: asyncio.Future[httpx.Response] | None) -> None:
    """End a request to the upstream, at whatever stage it is."""
    if sending is None:
        return
    if not sending.done():
        sending.cancel()
        await asyncio.wait({sending})
    if not sending.cancelled() and sending.exception() is None:
        await sending.result().aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _path(request: Request) -> str:
    """The path that clients mean: with /v1 twice or missing, or with a slash too many."""
    return _meant(request.scope["path"])


def _meant(path: str) -> str:
    path = "/" + "/".join(part for part in path.split("/") if part)
    while path.startswith("/v1/v1/"):
        path = path.removeprefix("/v1")
    return f"/v1{path}" if f"/v1{path}" in FORMS else path


def _top(path: str) -> str:
    """The path to allow: its beginning, without any ids."""
    found = re.match(r"(?:/v1)?/[a-z_]{1,40}(?:/[a-z_]{1,40})?(?=/|$)", path)
    return found[0] if found else "and its path"


def _label(path: str) -> str:
    """The name of a path in logs and metrics."""
    return path if path in FORMS or path in _OWN or path == _MODELS else "other"
