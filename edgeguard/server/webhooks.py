"""`POST /dify/moderation` and `POST /portkey/guardrail`: what two hosts ask of a webhook.

Dify lets an answer pass when its moderation fails (api/core/moderation/output_moderation.py), so a
text that cannot be judged is flagged there. Portkey's gateway takes an error for a verdict of false
(plugins/default/webhook.ts). Both send the text of an answer as it grows, or whole.

This module makes no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from edgeguard.protocol.visible import has_visible
from edgeguard.server.http_errors import HttpError
from edgeguard.server.reading import Asked, Reading, asked, asked_prompt, asked_response
from edgeguard.server.requests import Body
from edgeguard.verdict import Verdict

WITHHELD = "This was withheld by the safety filter."
NOT_JUDGED = "This could not be checked by the safety filter, and is withheld."


class Lenient(Body):
    """A part of a request that may hold more; what is judged has a name here."""

    model_config = ConfigDict(extra="ignore")


class DifyParams(Lenient):
    """What is judged: variables and a query of a user, or a text of the model."""

    inputs: dict[str, Any] = Field(default_factory=dict)
    query: str | None = None
    text: str | None = None


class DifyRequest(Lenient):
    """A point of an app, or `ping`, by which Dify tries the address."""

    point: Literal["ping", "app.moderation.input", "app.moderation.output"]
    params: DifyParams = Field(default_factory=DifyParams)


class PortkeySide(Lenient):
    """A request or a response as Portkey's gateway has it."""

    text: str | None = None
    json_: Any = Field(default=None, alias="json")


class PortkeyRequest(Lenient):
    """The context of a hook; a response's text is empty before there is one."""

    request: PortkeySide = Field(default_factory=PortkeySide)
    response: PortkeySide = Field(default_factory=PortkeySide)


def dify_texts(body: DifyRequest) -> list[Asked]:
    """What is judged; none if there is nothing to see."""
    params = body.params
    if body.point == "app.moderation.output":
        text = params.text or ""
        return asked_response("", text, "params.text") if has_visible(text) else []
    values = [each for each in params.inputs.values() if isinstance(each, str)]
    texts = [text for text in (*values, params.query or "") if has_visible(text)]
    return [each for text in texts for each in asked_prompt(text, "params")]


def dify_answer(results: Sequence[Verdict | HttpError]) -> dict[str, object]:
    """What Dify is to do: say a text of ours, or go on."""
    said = ""
    if any(isinstance(result, HttpError) for result in results):
        said = NOT_JUDGED
    elif any(not isinstance(result, HttpError) and result.flagged for result in results):
        said = WITHHELD
    return {"flagged": bool(said), "action": "direct_output", "preset_response": said}


def portkey_texts(body: PortkeyRequest) -> list[Asked]:
    """What is judged; none if there is nothing to see."""
    messages = _messages(body.request)
    if has_visible(body.response.text or ""):
        answer = {"role": "assistant", "content": body.response.text}
        before = messages or [{"role": "user", "content": body.request.text or ""}]
        how = Reading(tool_calls=True, skip_media=True)  # the request was judged by itself
        return asked([*before, answer], "response", {}, how)
    if messages:
        return asked(messages, "request", {}, Reading(judge="exchange", tool_calls=True))
    text = body.request.text or ""
    return asked_prompt(text, "request") if has_visible(text) else []


def portkey_answer(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """What Portkey is to do, with the verdicts for its log."""
    passes = not any(verdict.flagged for verdict in verdicts)
    return {"verdict": passes, "data": [verdict.to_dict() for verdict in verdicts]}


def _messages(side: PortkeySide) -> list[Mapping[str, object]]:
    found = side.json_.get("messages") if isinstance(side.json_, dict) else None
    return found if isinstance(found, list) else []
