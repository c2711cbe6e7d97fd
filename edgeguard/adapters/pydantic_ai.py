"""A capability of Pydantic AI's agents (2.x).

    agent = Agent(model, capabilities=[EdgeguardCapability()])

Before each request to the model, everything that the user and the tools have said since its last
answer is judged; after it, the answer with its tool calls. Flagged text raises ContentFilterError,
as a provider's own filter would; a part that cannot be judged (a file, speech) raises InputError. A
streamed answer is judged at its end, after it has been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ContentFilterError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart

from edgeguard.adapters.common import default_guard, judge_prompt, judge_response, why
from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import InputError
from edgeguard.verdict import Verdict

_RETURNS = ("tool-return", "builtin-tool-return")
_RETRIES = ("retry-prompt", "retry-feedback")
"""The messages by which a tool or a check rejects a call."""
_CALLS = ("tool-call", "builtin-tool-call")


@dataclass
class EdgeguardCapability(AbstractCapability[Any]):
    """Raises ContentFilterError if a text is flagged.

    ``guard``: if None, one is made from EDGEGUARD_MODEL and EDGEGUARD_POLICY.
    """

    guard: AsyncGuard = field(default_factory=lambda: default_guard())

    async def before_model_request(self, ctx: Any, request_context: Any) -> Any:  # noqa: ARG002
        """Judge what is new from the user and the tools."""
        messages: Sequence[ModelMessage] = request_context.messages
        if messages and isinstance(last := messages[-1], ModelRequest):
            for text in [_prompt(part) for part in last.parts if isinstance(part, UserPromptPart)]:
                before = _plain(messages[:-1])
                given = [*before, {"role": "user", "content": text}]
                _check(await self.guard.check_messages(given))
            for part in last.parts:
                if not isinstance(part, UserPromptPart):
                    _check(await judge_prompt(self.guard, _from_tool(part)))
        return request_context

    async def after_model_request(
        self,
        ctx: Any,  # noqa: ARG002
        *,
        request_context: Any,
        response: ModelResponse,
    ) -> ModelResponse:
        """Judge the model's answer together with the conversation."""
        before = _plain(request_context.messages)
        _check(await judge_response(self.guard, before, _answer(response)))
        return response


def _check(verdict: Verdict | None) -> None:
    if verdict is not None and verdict.flagged:
        raise ContentFilterError(f"edgeguard flagged the {verdict.mode} ({why(verdict)})")


def _plain(messages: Sequence[ModelMessage]) -> list[dict[str, str]]:
    """What the user and the model have said, without the tools."""
    found: list[dict[str, str]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            if text := _answer(message):
                found.append({"role": "assistant", "content": text})
        else:
            prompts = [part for part in message.parts if isinstance(part, UserPromptPart)]
            found += [{"role": "user", "content": _prompt(part)} for part in prompts]
    return found


def _prompt(part: UserPromptPart) -> str:
    """The text of a prompt. Raises InputError for a part that cannot be judged."""
    if isinstance(part.content, str):
        return part.content
    texts = []
    for each in part.content:
        text = each if isinstance(each, str) else getattr(each, "content", None)
        if not isinstance(text, str):
            raise InputError(f"a prompt has a part that cannot be judged ({type(each).__name__})")
        texts.append(text)
    return "\n".join(texts)


def _from_tool(part: Any) -> str:
    """The text of a tool's result; empty for the program's own. Raises InputError for a file."""
    if part.part_kind in _RETURNS:
        return _returned(part)
    if part.part_kind == "speech":
        raise InputError("a prompt has speech, which cannot be judged")
    return str(part.model_response()) if part.part_kind in _RETRIES else ""


def _returned(part: Any) -> str:
    if part.files:
        raise InputError("a tool returns a file, which cannot be judged")
    return str(part.model_response_str())


def _answer(response: ModelResponse) -> str:
    """The text of an answer, with its tool calls and without the model's thinking."""
    return "\n".join(_said(part) for part in response.parts if part.part_kind != "thinking")


def _said(part: Any) -> str:
    """The text of a part of an answer. Raises InputError if it cannot be judged."""
    if part.part_kind in _CALLS:
        return f"{part.tool_name} {part.args_as_json_str()}"
    if part.part_kind in _RETURNS:
        return _returned(part)
    if part.part_kind in ("text", "compaction"):
        return part.content or ""
    raise InputError(f"an answer has a part that cannot be judged ({part.part_kind})")
