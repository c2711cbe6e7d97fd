"""The proxy: reads a request, asks guard and upstream, and answers with one of both.

When the client leaves, everything that was begun for it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from edgeguard.conversation.reader import Reading
from edgeguard.proxy import refusals, whole
from edgeguard.proxy.judge import Case, Decision, Judge
from edgeguard.proxy.paths import MODELS, meant, top
from edgeguard.proxy.requests import FORMS, Asked, Form, asked
from edgeguard.proxy.settings import ProxySettings
from edgeguard.proxy.streaming import Streaming
from edgeguard.proxy.upstream import Upstream, chunks, read
from edgeguard.server.http_errors import HttpError
from edgeguard.server.json_body import parse
from edgeguard.server.observed import id_of

_MARK = "x-edgeguard-"


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
        path = meant(request.scope["path"])
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
        lists = request.method == "GET" and (path == MODELS or path.startswith(f"{MODELS}/"))
        if lists or self._settings.allows(path):
            await self._passed(request, path, body, send, {})
            return
        self._judge.case(id_of(request.scope), "other").unread("prompt", "not_allowed")
        if not self._settings.observe:
            raise HttpError(
                404,
                "the guard does not know this path, so it is not passed on: start the proxy with "
                f"--allow {top(path)}, if it may pass unjudged",
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
        path = meant(request.scope["path"])
        case = self._judge.case(id_of(request.scope), path)
        try:
            said = self._asked(form, body)
        except HttpError as error:
            case.unread("prompt", error.code or "")
            if not self._settings.observe:
                raise
            await self._passed(request, path, body, send, _NOT_JUDGED)
            return
        sending: asyncio.Future[httpx.Response] | None = None
        response: httpx.Response | None = None
        watch = None
        try:
            if self._settings.prompt == "parallel" and form not in _WITHOUT_ANSWER:
                sending = asyncio.ensure_future(self._send(request, path, said.body))
            if said.streams:
                decision, watch = await case.begin(said)
            else:
                found = await case.prompt(said.parts)
                assert found is not None
                decision = found
            if decision.stops:
                await self._refuse(request, said, decision, send)
                return
            sending = sending or asyncio.ensure_future(self._send(request, path, said.body))
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
        return {f"{_MARK}{stage}": decision.word for stage, decision in decisions.items()}


_WITHOUT_ANSWER = ("embeddings", "tokens")
"""Forms whose answers are numbers."""
_NOT_JUDGED = {f"{_MARK}{stage}": "not judged" for stage in ("prompt", "answer")}


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
