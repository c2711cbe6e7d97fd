"""`POST /portkey/guardrail`: what Portkey's gateway asks of a webhook, before and after a request.

The gateway takes an error of a webhook as consent (unless its check has `failOnError`), so a text
that cannot be judged gets a verdict of false here. The gateway sends the client's original request,
and the answer unless that is a stream. This module makes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from edgeguard.protocol.visible import has_visible
from edgeguard.server.http_errors import HttpError
from edgeguard.server.other_fields import asked_of
from edgeguard.server.reading import Asked, Messages, Reading, asked, asked_prompt
from edgeguard.server.requests import Body
from edgeguard.verdict import Verdict

PATH = "/portkey/guardrail"

_DEFINITIONS = ("tools", "functions", "response_format")
"""Not judged, and the answer says so."""
_SETTINGS = frozenset(
    {
        "model", "user", "metadata", "stop", "stop_sequences", "stream_options", "tool_choice",
        "function_call", "service_tier", "reasoning_effort", "safety_identifier", "modalities",
        "prompt_cache_key", "encoding_format", "verbosity", "thinking", "logit_bias",
    }
)  # fmt: skip
"""Fields that no model reads as a text."""
_CONVERSATION = ("messages", "system")
_CONTEXT = Reading(tool_calls=True, skip_media=True)
"""For an answer: what was asked was judged by itself."""
EXAMPLE: dict[str, Any] = {
    "eventType": "beforeRequestHook",
    "request": {
        "json": {"messages": [{"role": "user", "content": "What is the capital of France?"}]},
        "text": "What is the capital of France?",
    },
    "response": {"json": {}, "text": ""},
}


class PortkeySide(Body):
    """A request or a response as Portkey's gateway has it."""

    model_config = ConfigDict(extra="ignore")
    text: Annotated[Any, Field(description="Read where there is no JSON.")] = None
    json_: Any = Field(default=None, alias="json")

    @property
    def fields(self) -> dict[str, Any]:
        """Its JSON, or its text under that name."""
        return self.json_ if isinstance(self.json_, dict) and self.json_ else {"text": self.text}


class PortkeyRequest(Body):
    """The context of a hook; a response's text is empty before there is one."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [EXAMPLE]})
    request: PortkeySide = Field(default_factory=PortkeySide)
    response: PortkeySide = Field(default_factory=PortkeySide)
    event: Annotated[Any, Field(alias="eventType")] = None

    @property
    def is_answered(self) -> bool:
        """Whether it is the answer that is asked about."""
        return self.event == "afterRequestHook" or any(self.response.fields.values())


def texts_of(body: PortkeyRequest) -> list[Asked]:
    """What is judged; none if there is nothing to see."""
    return _of_answer(body) if body.is_answered else _of_request(body.request.fields)


def not_judged(body: PortkeyRequest) -> list[str]:
    """What is passed over."""
    return [name for name in _DEFINITIONS if body.request.fields.get(name)]


def answer(results: Sequence[Verdict | HttpError], passed: Sequence[str]) -> dict[str, object]:
    """What Portkey is to do, with the verdicts and the errors for its log."""
    verdicts = [result for result in results if not isinstance(result, HttpError)]
    errors = [result.message for result in results if isinstance(result, HttpError)]
    return {
        "verdict": not errors and not any(verdict.flagged for verdict in verdicts),
        "data": {
            "verdicts": [verdict.to_dict() for verdict in verdicts],
            "errors": errors,
            "not_judged": list(passed),
        },
    }


def _of_request(fields: Mapping[str, Any]) -> list[Asked]:
    beside = asked_of(fields, asked_prompt, (*_CONVERSATION, *_DEFINITIONS, *_SETTINGS))
    if fields.get("messages"):
        how = Reading(judge="exchange", tool_calls=True)
        return asked(_conversation(fields), "messages", {}, how) + beside
    return beside


def _of_answer(body: PortkeyRequest) -> list[Asked]:
    before = _before(body.request.fields)
    said = [{**one, "role": "assistant"} for one in _said(body.response.fields)]
    if not said:
        why = "there is no answer in it: Portkey shows its guardrails no stream"
        return [Asked("response", HttpError(400, why, code="empty", param="response"))]
    shown = [one for one in said if any(map(_says, {**one, "role": None}.values()))]
    return [each for one in shown for each in asked([*before, one], "response", {}, _CONTEXT)]


def _says(value: object) -> bool:
    return has_visible(value) if isinstance(value, str) else bool(value)


def _said(fields: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """The messages of an answer: of a chat, of a completion, of Anthropic's."""
    for choice in fields.get("choices") or ():
        message = choice.get("message") if isinstance(choice, dict) else None
        content = choice.get("text") if isinstance(choice, dict) else None
        yield message if isinstance(message, dict) else {"role": "assistant", "content": content}
    for name in ("content", "text"):
        if fields.get(name):
            yield {"role": "assistant", "content": fields[name]}


def _before(fields: Mapping[str, Any]) -> Sequence[Mapping[str, object]]:
    """What the answer answers, if it can be shown."""
    messages: object = fields.get("messages")
    if isinstance(messages, list) and messages:
        return messages
    text = next((fields[name] for name in ("prompt", "input", "text") if fields.get(name)), "")
    return [{"role": "user", "content": text if isinstance(text, str) else ""}]


def _conversation(fields: Mapping[str, Any]) -> Messages:
    """The messages with their system text, which is one of the public forms."""
    return {name: fields[name] for name in _CONVERSATION if fields.get(name)}  # type: ignore[return-value]
