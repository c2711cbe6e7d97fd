"""Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`.

Clients written for OpenAI, vLLM or SGLang read this form, and retry on 503 after `Retry-After`.
The moderated text is never part of a message. This module decides no status but those of
edgeguard's own exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from edgeguard.errors import EdgeguardError, InputError, InputTooLongError

BAD_REQUEST = "invalid_request_error"
SERVER = "server_error"


class HttpError(Exception):
    """A request that is answered with an error."""

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

    def response(self) -> JSONResponse:
        """The error as it is sent."""
        error = {
            "message": self.message,
            "type": BAD_REQUEST if self.status < 500 else SERVER,
            "param": self.param,
            "code": self.code,
        }
        return JSONResponse({"error": error}, self.status, self.headers)


def translate(error: EdgeguardError) -> HttpError:
    """What a client is told of an error of the guard."""
    if isinstance(error, InputTooLongError):
        return HttpError(400, str(error), code="context_length_exceeded")
    if isinstance(error, InputError):
        return HttpError(400, str(error), code="invalid_value")
    return HttpError(500, f"the model could not judge this: {error}", code="judging_failed")
