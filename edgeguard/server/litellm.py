"""`POST /beta/litellm_basic_guardrail_api`: the guardrail that LiteLLM's proxy asks over HTTP.

LiteLLM asks twice: for the request, with its messages, and for the answer, with its text alone; a
stream asks again as the text grows. Both have the same call id. On request, the messages are kept
under this id for a while, in limited memory, so that the answer can be judged as an answer to them.

LiteLLM takes an answer without an action as permission, so anything that cannot be judged is an
HTTP error here, or BLOCKED with the reason. Texts in unknown fields are judged with the rest. This
module makes no verdict.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from edgeguard.protocol.visible import has_visible
from edgeguard.server.other_fields import asked_of
from edgeguard.server.reading import (
    Asked,
    Messages,
    Options,
    Reading,
    asked,
    asked_prompt,
    asked_response,
)
from edgeguard.server.requests import Body
from edgeguard.verdict import Verdict

PATH = "/beta/litellm_basic_guardrail_api"
KEPT_SECONDS = 600.0
"""How long the messages of a call are kept."""
KEPT_CHARACTERS = 8 * 1024 * 1024
"""How much of all calls may be kept."""

_MILD = "What is the capital of France?"
EXAMPLE: dict[str, Any] = {
    "input_type": "request",
    "texts": [_MILD],
    "structured_messages": [{"role": "user", "content": _MILD}],
    "litellm_call_id": "0f8a5a0a",
}


class Parameters(Body):
    """What `additional_provider_specific_params` may say here."""

    policy: str | None = None
    skip_images: bool | None = None


class GuardrailRequest(Body):
    """What LiteLLM sends."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EXAMPLE]})
    input_type: Literal["request", "response"]
    texts: list[str] | None = None
    structured_messages: list[dict[str, Any]] | None = None
    images: list[Any] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tools: Annotated[Any, Field(description="Definitions: not judged, and the answer says so.")] = (
        None
    )
    litellm_call_id: str | None = None
    litellm_trace_id: Any = None
    litellm_version: Any = None
    model: Any = None
    request_data: Annotated[Any, Field(description="Who asks; not read.")] = None
    request_headers: Annotated[Any, Field(description="Not read.")] = None
    additional_provider_specific_params: Parameters | None = None

    @property
    def parameters(self) -> Parameters:
        """What the configuration says beside the address."""
        return self.additional_provider_specific_params or Parameters()

    @property
    def not_judged(self) -> tuple[str, ...]:
        """What the answer names as passed over."""
        passed = {"tools": bool(self.tools), "images": bool(self.images)}
        return tuple(name for name, is_there in passed.items() if is_there)

    @property
    def has_unread_images(self) -> bool:
        """Whether there is something that cannot be judged, and is not to be passed over."""
        return bool(self.images) and not self.parameters.skip_images


class Calls:
    """The messages of the latest calls, by their ids."""

    def __init__(self, most: int) -> None:
        """``most`` calls are kept; with 0, none is."""
        self._most = most
        self._kept: OrderedDict[str, _Call] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, call: str | None, messages: Messages) -> None:
        """Keep what was asked, and let the oldest go."""
        if call is None or not self._most:
            return
        self._forget(call)
        characters = sum(len(str(each)) for each in messages)
        self._kept[call] = _Call(messages, characters, time.monotonic())
        self._characters += characters
        while len(self._kept) > self._most or self._characters > KEPT_CHARACTERS:
            self._forget(next(iter(self._kept)))
        self._expire()

    def find(self, call: str | None) -> Messages:
        """What was asked; empty if that is not known."""
        self._expire()
        found = self._kept.get(call or "")
        return found.messages if found else ()

    def _expire(self) -> None:
        since = time.monotonic() - KEPT_SECONDS
        while self._kept and next(iter(self._kept.values())).since < since:
            self._forget(next(iter(self._kept)))

    def _forget(self, call: str) -> None:
        if (found := self._kept.pop(call, None)) is not None:
            self._characters -= found.characters


@dataclass(frozen=True)
class _Call:
    messages: Messages
    characters: int
    since: float


def texts_of(body: GuardrailRequest, context: Messages, options: Options) -> list[Asked]:
    """What is judged; none if there is nothing to see."""
    texts = [text for text in body.texts or () if has_visible(text)]
    said = [*texts, *(_written(call) for call in body.tool_calls or ())]
    if body.input_type == "response":
        others = asked_of(body.model_extra, lambda text, _: _response(context, text, options))
        return [each for text in said for each in _response(context, text, options)] + others
    others = asked_of(body.model_extra, lambda text, name: asked_prompt(text, name, options))
    if body.structured_messages:
        how = Reading(
            judge="exchange", tool_calls=True, skip_media=bool(body.parameters.skip_images)
        )
        return asked(body.structured_messages, "structured_messages", options, how) + others
    return [
        each
        for place, text in enumerate(said)
        for each in asked_prompt(text, f"texts[{place}]", options)
    ] + others


def answer(verdicts: Sequence[Verdict], not_judged: Sequence[str] = ()) -> dict[str, object]:
    """What LiteLLM is to do, with the verdicts and what was passed over."""
    flagged = [verdict for verdict in verdicts if verdict.flagged]
    said = {
        "edgeguard": [verdict.to_dict() for verdict in verdicts],
        "not_judged": list(not_judged),
    }
    if not flagged:
        return {"action": "NONE", **said}
    first = flagged[0]
    what = ", ".join(first.categories) or first.reason or "no category"
    return {"action": "BLOCKED", "blocked_reason": f"{first.severity}: {what}", **said}


def refused(reason: str) -> dict[str, object]:
    """What LiteLLM is to do with what cannot be judged."""
    return {"action": "BLOCKED", "blocked_reason": reason, "edgeguard": [], "not_judged": []}


def _response(context: Messages, text: str, options: Options) -> list[Asked]:
    if not context:
        return asked_response("", text, "texts", options)
    how = Reading(tool_calls=True, skip_media=True)  # the request was judged by itself
    return asked([*context, {"role": "assistant", "content": text}], "texts", options, how)


def _written(call: dict[str, Any]) -> str:
    """A call of a tool as a text."""
    function = call.get("function") or {}
    return f"{function.get('name', '')} {function.get('arguments') or json.dumps(call)}"
