"""A component of Haystack's pipelines (haystack-ai 3.x).

    pipeline.add_component("guard", EdgeguardRouter())
    pipeline.connect("guard.passed", "generator.messages")

The last message of a list is judged together with those before it. So the same component can be
placed before a generator and, with the conversation and the reply, after it. The list leaves
through `passed`, or through `flagged` with the verdict.
"""

from __future__ import annotations

from typing import Any

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import ChatMessage

from edgeguard.adapters.common import run, shared_guard
from edgeguard.async_guard import AsyncGuard


@component
class EdgeguardRouter:
    """Routes messages by the verdict on the last one."""

    def __init__(
        self,
        model: str | None = None,
        policy: str = "strict",
        *,
        guard: AsyncGuard | None = None,
    ) -> None:
        """``model`` and ``policy`` as in Guard; ``guard`` is an existing one to use instead."""
        self._model, self._policy = model, policy
        self._guard = guard or shared_guard(model, policy)

    def to_dict(self) -> dict[str, Any]:
        """The component for a pipeline's YAML; a guard passed in is not serialised."""
        found: dict[str, Any] = default_to_dict(self, model=self._model, policy=self._policy)
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EdgeguardRouter:
        """The component from a pipeline's YAML."""
        made: EdgeguardRouter = default_from_dict(cls, data)
        return made

    @component.output_types(
        passed=list[ChatMessage], flagged=list[ChatMessage], verdict=dict[str, Any]
    )
    def run(self, messages: list[ChatMessage]) -> dict[str, Any]:
        """The messages at one of two outputs, and the verdict. Raises InputError."""
        return run(self.run_async(messages))

    @component.output_types(
        passed=list[ChatMessage], flagged=list[ChatMessage], verdict=dict[str, Any]
    )
    async def run_async(self, messages: list[ChatMessage]) -> dict[str, Any]:
        """The same as ``run``, awaited."""
        verdict = await self._guard.check_messages(
            [each.to_openai_dict_format() for each in messages], tool_calls=True
        )
        way = "flagged" if verdict.flagged else "passed"
        return {way: messages, "verdict": verdict.to_dict()}
