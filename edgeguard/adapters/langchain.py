"""A middleware of LangChain's agents (langchain 1.x).

    agent = create_agent(model, tools, middleware=[EdgeguardMiddleware()])

Before the model is called, everything that the user and the tools have said since its last answer
is judged. The model's answer, with its tool calls, is judged before the model call returns, so that
no state of the agent ever contains flagged text. Streams of events (version v3) are held back until
they are judged, by edgeguard.adapters.langchain_stream; the older stream_mode="messages" does not
allow that, and shows tokens at once.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from edgeguard.adapters.common import (
    REFUSAL,
    FlaggedError,
    default_guard,
    judge_response,
    run,
)
from edgeguard.adapters.langchain_stream import INTERVAL, HeldBack
from edgeguard.async_guard import AsyncGuard
from edgeguard.verdict import Verdict

Update = dict[str, Any] | None
Request: TypeAlias = "ModelRequest[Any]"
Response: TypeAlias = "ModelResponse[Any]"


class EdgeguardMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Ends an agent's run with a refusal if a text is flagged, or raises FlaggedError.

    A text that cannot be judged raises, so that it does not pass.
    """

    def __init__(
        self,
        guard: AsyncGuard | None = None,
        *,
        exit_behavior: Literal["end", "error"] = "end",
        refusal: str = REFUSAL,
        interval: int = INTERVAL,
    ) -> None:
        """``guard``: if None, one is made from EDGEGUARD_MODEL and EDGEGUARD_POLICY.

        interval: characters of a stream of events between two verdicts.
        """
        super().__init__()
        self._guard = guard or default_guard()
        self._exit_behavior = exit_behavior
        self.refusal = refusal
        self.transformers = (partial(HeldBack, middleware=self, interval=interval),)

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: AgentState[Any], runtime: object) -> Update:  # noqa: ARG002
        """Judge what is new from the user and the tools."""
        messages = state["messages"]
        first = max((at for at, each in enumerate(messages, 1) if _is_answer(each)), default=0)
        for place in range(first, len(messages)):
            verdict = await self._judge(messages[: place + 1])
            if verdict is not None and verdict.flagged:
                return self._end(verdict)
        return None

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: AgentState[Any], runtime: object) -> Update:
        """The synchronous version."""
        return run(self.abefore_model(state, runtime))

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Judge the model's answer; a flagged one is replaced by a refusal."""
        return await self._judged(request, await handler(request))

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """The synchronous version."""
        return run(self._judged(request, handler(request)))

    async def _judged(self, request: Request, response: Response) -> Response:
        text = "\n".join(_text(each) for each in response.result if _is_answer(each)).strip()
        verdict = await self.judge_answer(request.messages, text)
        if verdict is None or not verdict.flagged:
            return response
        self.check(verdict)
        replaced = next((each.id for each in response.result if _is_answer(each)), None)
        return ModelResponse(result=[AIMessage(self.refusal, id=replaced)])

    async def judge_answer(self, messages: Sequence[Any], text: str) -> Verdict | None:
        """The verdict on an answer to these messages; None if it has no visible character."""
        return await judge_response(self._guard, messages, text)

    def check(self, verdict: Verdict) -> None:
        """Raise FlaggedError for a flagged verdict, if the middleware is set to raise."""
        if self._exit_behavior == "error":
            raise FlaggedError(verdict)

    async def _judge(self, messages: Sequence[BaseMessage]) -> Verdict | None:
        last = messages[-1]
        if isinstance(last, SystemMessage) or (isinstance(last, ToolMessage) and not _text(last)):
            return None
        return await self._guard.check_messages(messages, tool_calls=True)

    def _end(self, verdict: Verdict) -> dict[str, Any]:
        self.check(verdict)
        return {"messages": [AIMessage(self.refusal)], "jump_to": "end"}


def _is_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage)


def _text(message: BaseMessage) -> str:
    """The text of a message, including its tool calls."""
    calls = getattr(message, "tool_calls", ())
    written = [json.dumps({"name": call["name"], "args": call["args"]}) for call in calls]
    return "\n".join([str(message.text), *written]).strip()
