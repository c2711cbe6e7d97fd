"""A middleware of LangChain's agents (langchain 1.x).

    agent = create_agent(model, tools, middleware=[EdgeguardMiddleware()])

Before the model is asked, what the user and the tools have said since its last answer is judged;
after it, its answer, with the calls of tools in it, in the light of the conversation. What streams
by tokens is shown before it is judged: the guard says what the agent keeps and goes on with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain.agents.middleware.types import AgentMiddleware, AgentState, hook_config
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from edgeguard.adapters.common import (
    REFUSAL,
    FlaggedError,
    default_guard,
    judge_response,
    run,
)
from edgeguard.async_guard import AsyncGuard
from edgeguard.verdict import Verdict

Update = dict[str, Any] | None


class EdgeguardMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends an agent's run with a refusal where a text is flagged, or raises FlaggedError.

    A text that cannot be judged raises, so that it does not pass.
    """

    def __init__(
        self,
        guard: AsyncGuard | None = None,
        *,
        exit_behavior: Literal["end", "error"] = "end",
        refusal: str = REFUSAL,
    ) -> None:
        """``guard``: else one is made of EDGEGUARD_MODEL and EDGEGUARD_POLICY."""
        super().__init__()
        self._guard = guard or default_guard()
        self._exit_behavior = exit_behavior
        self._refusal = refusal

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: AgentState[Any], runtime: object) -> Update:  # noqa: ARG002
        """Judge what is new of the user and of the tools."""
        messages = state["messages"]
        first = max((at for at, each in enumerate(messages, 1) if _is_answer(each)), default=0)
        for place in range(first, len(messages)):
            verdict = await self._judge(messages[: place + 1])
            if verdict is not None and verdict.flagged:
                return self._end(verdict, None)
        return None

    @hook_config(can_jump_to=["end"])
    async def aafter_model(self, state: AgentState[Any], runtime: object) -> Update:  # noqa: ARG002
        """Judge the model's answer, which a refusal replaces."""
        messages = state["messages"]
        if not messages or not _is_answer(messages[-1]):
            return None
        verdict = await judge_response(self._guard, messages[:-1], _text(messages[-1]))
        if verdict is None or not verdict.flagged:
            return None
        return self._end(verdict, messages[-1].id)

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: AgentState[Any], runtime: object) -> Update:
        """The same for who does not await."""
        return run(self.abefore_model(state, runtime))

    @hook_config(can_jump_to=["end"])
    def after_model(self, state: AgentState[Any], runtime: object) -> Update:
        """The same for who does not await."""
        return run(self.aafter_model(state, runtime))

    async def _judge(self, messages: Sequence[BaseMessage]) -> Verdict | None:
        last = messages[-1]
        if isinstance(last, SystemMessage) or (isinstance(last, ToolMessage) and not _text(last)):
            return None
        return await self._guard.check_messages(messages, tool_calls=True)

    def _end(self, verdict: Verdict, replaced: str | None) -> dict[str, Any]:
        if self._exit_behavior == "error":
            raise FlaggedError(verdict)
        return {"messages": [AIMessage(self._refusal, id=replaced)], "jump_to": "end"}


def _is_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage)


def _text(message: BaseMessage) -> str:
    """The text of a message, with the calls of tools in it."""
    calls = getattr(message, "tool_calls", ())
    written = [json.dumps({"name": call["name"], "args": call["args"]}) for call in calls]
    return "\n".join([str(message.text), *written]).strip()
