"""A guardrail of LiteLLM's proxy that runs in its process; docs/hosts/litellm.md has the YAML.

Requests are judged as a conversation, answers as answers to it, and streams as they grow. The proxy
answers flagged text with status 400 and the reason; text that cannot be judged raises, and does not
pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail

from edgeguard.adapters.common import default_guard, judge_prompt, judge_response, why
from edgeguard.async_guard import AsyncGuard
from edgeguard.verdict import Verdict


class EdgeguardGuardrail(CustomGuardrail):
    """`guardrail: edgeguard.adapters.litellm.EdgeguardGuardrail`, in modes pre_call and post_call.

    LiteLLM looks for ``apply_guardrail`` in the class itself: a subclass must name it again.
    """

    def __init__(self, guard: AsyncGuard | None = None, **options: Any) -> None:
        """``guard``: if None, one is made from EDGEGUARD_MODEL and EDGEGUARD_POLICY."""
        self._guard = guard or default_guard()
        super().__init__(**options)

    async def apply_guardrail(
        self,
        inputs: Mapping[str, Any],
        request_data: Mapping[str, Any],
        input_type: Literal["request", "response"],
        logging_obj: object = None,  # noqa: ARG002 - LiteLLM's signature
    ) -> Mapping[str, Any]:
        """The inputs, unchanged. Raises GuardrailRaisedException for flagged text."""
        if inputs.get("images"):
            raise self._blocked("a picture cannot be judged")
        for verdict in await self._verdicts(inputs, request_data, input_type):
            if verdict is not None and verdict.flagged:
                raise self._blocked(why(verdict))
        return inputs

    async def _verdicts(
        self, inputs: Mapping[str, Any], request_data: Mapping[str, Any], input_type: str
    ) -> list[Verdict | None]:
        texts = inputs.get("texts") or []
        if input_type == "response":
            messages = request_data.get("messages") or []
            said = [*texts, *map(_written, inputs.get("tool_calls") or [])]
            return [await judge_response(self._guard, messages, text) for text in said]
        if messages := inputs.get("structured_messages"):
            return [*await self._guard.check_turns(messages, judge="exchange", tool_calls=True)]
        return [await judge_prompt(self._guard, text) for text in texts]

    def _blocked(self, reason: str) -> GuardrailRaisedException:
        return GuardrailRaisedException(
            guardrail_name=self.guardrail_name, message=reason, blocked_content=True
        )


def _written(call: Any) -> str:
    """A tool call as text; LiteLLM has it as a dictionary or as a model."""
    fields = call if isinstance(call, dict) else call.model_dump()
    return json.dumps(fields.get("function") or fields)
