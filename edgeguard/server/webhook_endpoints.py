"""The endpoints of edgeguard.server.webhooks, which has the forms.

This module knows no header and no limit.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeguard.server import webhooks
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.observed import CLIENT_LEFT
from edgeguard.server.reading import Asked
from edgeguard.verdict import Verdict

Results = list[Verdict | HttpError]


class WebhookEndpoints:
    """What hosts ask that call an address of the user's."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def dify(self, request: Request, body: webhooks.DifyRequest) -> Response:
        """Whether Dify lets an input or an output pass; it does where this is an error."""
        if body.point == "ping":
            return JSONResponse({"result": "pong"})
        try:
            results = await self._results(request, webhooks.dify_texts(body))
        except HttpError as error:
            request.scope["state"]["code"] = error.code
            results = [error]
        if results is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(webhooks.dify_answer(results))

    async def portkey(self, request: Request, body: webhooks.PortkeyRequest) -> Response:
        """Whether Portkey lets a request or a response pass."""
        results = await self._results(request, webhooks.portkey_texts(body))
        if results is None:
            return Response(status_code=CLIENT_LEFT)
        for result in results:
            if isinstance(result, HttpError):
                raise result
        verdicts = [result for result in results if not isinstance(result, HttpError)]
        return JSONResponse(webhooks.portkey_answer(verdicts))

    async def _results(self, request: Request, texts: list[Asked]) -> Results | None:
        return await self._endpoints.judging.verdicts(request, texts) if texts else []
