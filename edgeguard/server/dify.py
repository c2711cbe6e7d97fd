"""`POST /dify/moderation`: what Dify asks of an API extension.

Dify lets an answer pass if its moderation fails (api/core/moderation/output_moderation.py), so a
text that cannot be judged is flagged. Dify sends the variables and the query of a user, or the text
of an answer as it grows, the latter without its prompt. This module makes no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from edgeguard.server.http_errors import HttpError
from edgeguard.server.other_fields import asked_of
from edgeguard.server.reading import Asked, asked_prompt, asked_response
from edgeguard.server.requests import Body
from edgeguard.verdict import Verdict

PATH = "/dify/moderation"
WITHHELD = "This was withheld by the safety filter."
NOT_JUDGED = "This could not be checked by the safety filter, and is withheld."

_SAY_NOTHING = ("app_id", "tenant_id", "user_id")
EXAMPLE: dict[str, Any] = {
    "point": "app.moderation.input",
    "params": {"app_id": "0f8a5a0a", "inputs": {}, "query": "What is the capital of France?"},
}


class DifyParams(Body):
    """What is judged: variables and a query of a user, or a text of the model."""

    model_config = ConfigDict(extra="allow")
    inputs: Annotated[Any, Field(description="The variables of an app.")] = None
    query: Annotated[Any, Field(description="What the user asks.")] = None
    text: Annotated[Any, Field(description="What the model answers, so far or as a whole.")] = None


class DifyRequest(Body):
    """A point of an app, or `ping`, by which Dify tries the address."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EXAMPLE]})
    point: Literal["ping", "app.moderation.input", "app.moderation.output"]
    params: DifyParams = Field(default_factory=DifyParams)


def texts_of(body: DifyRequest) -> list[Asked]:
    """What is judged; none if there is nothing to see."""
    ask = _asked_answer if body.point == "app.moderation.output" else asked_prompt
    params = body.params
    named = {"query": params.query, "text": params.text}
    inputs = params.inputs if isinstance(params.inputs, dict) else {"inputs": params.inputs}
    fields = (inputs, named, params.model_extra or {}, body.model_extra or {})
    return [each for some in fields for each in asked_of(some, ask, _SAY_NOTHING)]


def answer(results: Sequence[Verdict | HttpError]) -> dict[str, object]:
    """What Dify is to do: say a text of ours, or go on."""
    said = ""
    if any(isinstance(result, HttpError) for result in results):
        said = NOT_JUDGED
    elif any(not isinstance(result, HttpError) and result.flagged for result in results):
        said = WITHHELD
    return {"flagged": bool(said), "action": "direct_output", "preset_response": said}


def _asked_answer(text: str, param: str) -> list[Asked]:
    return asked_response("", text, param)
