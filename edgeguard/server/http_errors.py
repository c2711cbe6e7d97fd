"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code", "request_id"}}`.

On the paths of Anthropic and Ollama they have the form that those clients read.

Clients written for OpenAI, vLLM or SGLang read this form, and retry on 503 after `Retry-After`. The
moderated text is never part of a message. This module chooses statuses only for edgeguard's own
exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.responses import JSONResponse

from edgeguard.errors import (
    EdgeguardError,
    InputError,
    InputTooLongError,
    TimeoutError,  # noqa: A004 - it is one
)

BAD_REQUEST = "invalid_request_error"
SERVER = "server_error"
OLLAMA = "/api/"
"""Where the paths of Ollama's API begin."""
ANTHROPIC = re.compile(r"/+(?:v1/+)*messages(?:/.*)?")
"""The paths of Anthropic's API, whose clients read errors in a form of its own."""
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class HttpError(Exception):
    """A request, or one text of it, that is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def to_dict(self) -> dict[str, str | None]:
        """The error as it stands in an answer."""
        return {
            "message": self.message,
            "type": BAD_REQUEST if self.status < 500 else SERVER,
            "param": self.param,
            "code": self.code,
        }

    def response(self, request_id: str, path: str = "") -> JSONResponse:
        """The error as the whole answer, in the form of the API that ``path`` belongs to."""
        return JSONResponse(self.body(request_id, path), self.status, self.headers)

    def body(self, request_id: str, path: str = "") -> dict[str, object]:
        """What that answer says."""
        if path.startswith(OLLAMA):
            return {"error": self.message}  # its clients read a string
        if ANTHROPIC.fullmatch(path):
            otherwise = BAD_REQUEST if self.status < 500 else "api_error"
            kind = _ANTHROPIC_TYPES.get(self.status, otherwise)
            said = {"type": kind, "message": self.message}
            return {"type": "error", "error": said, "request_id": request_id}
        return {"error": {**self.to_dict(), "request_id": request_id}}


def translate(error: EdgeguardError, param: str | None = None) -> HttpError:
    """What a client is told of an error of the guard; ``param`` is where the text stands."""
    if isinstance(error, InputTooLongError):
        return HttpError(400, str(error), code="context_length_exceeded", param=param)
    if isinstance(error, InputError):
        # Nothing to judge comes from a client that lost the text, and is not Safe.
        empty = str(error).startswith("there is nothing")
        code = "empty" if empty else "invalid_conversation"
        return HttpError(400, f"{param}: {error}", code=code, param=param)
    if isinstance(error, TimeoutError):
        # It would take as long again: OpenAI's clients retry a 408 and a 504, and obey this header.
        again = {"x-should-retry": "false"}
        return HttpError(504, str(error), code="timeout", param=param, headers=again)
    return HttpError(
        500, f"the model could not judge this: {error}", code="judging_failed", param=param
    )
