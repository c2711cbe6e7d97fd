"""Pydantic AI's agents with the capability, on its own fake model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent, ImageUrl
from pydantic_ai.exceptions import ContentFilterError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from edgeguard.adapters.pydantic_ai import EdgeguardCapability
from edgeguard.errors import InputError

pytestmark = pytest.mark.host


class Script:
    """Answers in order; counts how often it was asked."""

    def __init__(self, *answers: str | ToolCallPart) -> None:
        self.answers = list(answers)
        self.asked = 0

    def _next(self) -> str | ToolCallPart:
        self.asked += 1
        return self.answers.pop(0)

    def __call__(self, _messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        said = self._next()
        return ModelResponse(parts=[TextPart(said) if isinstance(said, str) else said])

    async def stream(self, _messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
        for word in str(self._next()).split():
            yield f"{word} "


def agent(guard: Any, script: Script) -> Agent[None, str]:
    model = FunctionModel(script, stream_function=script.stream)
    found = Agent(model, capabilities=[EdgeguardCapability(guard)])

    @found.tool_plain
    def look_up(what: str) -> str:
        return f"What is known of {what} is unsafe."

    return found


def ask(guard: Any, given: Any, *answers: str | ToolCallPart) -> str:
    return agent(guard, Script(*answers)).run_sync(given).output


def test_what_is_safe_passes(guard: Any) -> None:
    assert ask(guard, "What is the capital?", "It is Paris.") == "It is Paris."


def test_the_model_is_not_asked_what_is_flagged(guard: Any) -> None:
    script = Script("a")
    with pytest.raises(ContentFilterError, match=r"prompt \(Unsafe: Violent\)"):
        agent(guard, script).run_sync("Say something unsafe.")
    assert script.asked == 0


def test_an_answer(guard: Any) -> None:
    with pytest.raises(ContentFilterError, match="response"):
        ask(guard, "What?", "Here is what is unsafe.")


def test_what_a_tool_says_and_what_is_asked_of_it(guard: Any) -> None:
    with pytest.raises(ContentFilterError, match="prompt"):
        ask(guard, "What?", ToolCallPart("look_up", {"what": "it"}), "So it is.")
    with pytest.raises(ContentFilterError, match="response"):
        ask(guard, "What?", ToolCallPart("look_up", {"what": "unsafe"}), "So it is.")


def test_the_history_is_judged_with_it(guard: Any) -> None:
    before = agent(guard, Script("Well."))
    history = before.run_sync("What?").all_messages()
    later = agent(guard, Script("It is Paris."))
    assert later.run_sync("And?", message_history=history).output == "It is Paris."


def test_a_stream_is_judged_at_its_end(guard: Any) -> None:
    async def stream(answer: str) -> str:
        async with agent(guard, Script(answer)).run_stream("What?") as result:
            return await result.get_output()

    assert asyncio.run(stream("It is Paris.")).strip() == "It is Paris."
    with pytest.raises(ContentFilterError):
        asyncio.run(stream("This is unsafe."))


def test_what_cannot_be_judged_does_not_pass(guard: Any) -> None:
    for given in (["What?", ImageUrl("http://127.0.0.1/a.png")], " "):
        with pytest.raises(InputError):
            ask(guard, given, "a")
