"""The endpoint of LiteLLM's guardrail; edgeguard.server.litellm has the forms.

This module knows no header and no limit.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgeguard.server import litellm
from edgeguard.server.endpoints import Endpoints
from edgeguard.server.http_errors import HttpError
from edgeguard.server.observed import CLIENT_LEFT


class LiteLLMEndpoint:
    """The guardrail of one server, and what it keeps of the latest calls."""

    def __init__(self, endpoints: Endpoints, calls: litellm.Calls) -> None:
        self._endpoints = endpoints
        self._calls = calls

    async def judge(self, request: Request, body: litellm.GuardrailRequest) -> Response:
        """Whether LiteLLM lets a request or an answer pass.

        A request is judged by its messages, an answer as one to them if the server keeps them
        (--litellm-calls). What is flagged, and a picture, is BLOCKED with the reason.
        """
        if body.has_unread_images:
            why = "a picture cannot be judged; with skip_images it is passed over"
            return JSONResponse(litellm.refused(why))
        options = self._endpoints.options(body.parameters.policy)
        not_judged = body.not_judged
        texts = litellm.texts_of(body, self._calls.find(body.litellm_call_id), options)
        if body.input_type == "request":
            self._calls.keep(body.litellm_call_id, body.structured_messages or ())
        del body
        results = await self._endpoints.judging.verdicts(request, texts) if texts else []
        if results is None:
            return Response(status_code=CLIENT_LEFT)
        for result in results:
            if isinstance(result, HttpError):  # an answer with a gap would let it pass
                raise result
        verdicts = [result for result in results if not isinstance(result, HttpError)]
        return JSONResponse(litellm.answer(verdicts, not_judged))
