"""The endpoints of edgeguard.server.dify and portkey, which have the forms.

This module knows no header and no limit.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeguard.server import dify, portkey
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.observed import CLIENT_LEFT
from edgeguard.server.reading import Asked
from edgeguard.verdict import Verdict

Results = list[Verdict | HttpError]


class WebhookEndpoints:
    """What hosts ask that call an address of the user's, and take an error for consent."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def dify(self, request: Request, body: dify.DifyRequest) -> Response:
        """Whether Dify lets an input or an output pass.

        It does where this is an error, so what cannot be judged is flagged.
        """
        if body.point == "ping":
            return JSONResponse({"result": "pong"})
        results = await self._results(request, dify.texts_of(body))
        if results is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(dify.answer(results))

    async def portkey(self, request: Request, body: portkey.PortkeyRequest) -> Response:
        """Whether Portkey's gateway lets a request or a response pass.

        What cannot be judged has a verdict of false: an error would let it pass.
        """
        passed = portkey.not_judged(body)
        results = await self._results(request, portkey.texts_of(body))
        if results is None:
            return Response(status_code=CLIENT_LEFT)
        return JSONResponse(portkey.answer(results, passed))

    async def _results(self, request: Request, texts: list[Asked]) -> Results | None:
        """The verdict of each text, or its error; None if the client left."""
        try:
            return await self._endpoints.judging.verdicts(request, texts) if texts else []
        except HttpError as error:
            request.scope["state"]["code"] = error.code
            return [error]
