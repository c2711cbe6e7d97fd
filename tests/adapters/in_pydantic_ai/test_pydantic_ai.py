"""Pydantic AI's agents with the capability, on its own fake model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_upstream import MILD
from pages import block
from pydantic_ai import Agent, BinaryContent, ImageUrl, ModelRetry
from pydantic_ai.exceptions import ContentFilterError
from pydantic_ai.messages import (
    FilePart,
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from edgeguard.adapters.pydantic_ai import EdgeguardCapability
from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import InputError, ModelNotFoundError

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


def test_what_a_tool_turns_down_is_judged_too(guard: Any) -> None:
    script = Script(ToolCallPart("look_up", {"what": "it"}), "So it is.")
    model = FunctionModel(script)
    found = Agent(model, capabilities=[EdgeguardCapability(guard)])

    @found.tool_plain
    def look_up(what: str) -> str:
        raise ModelRetry(f"Of {what} all is unsafe.")

    with pytest.raises(ContentFilterError, match="prompt"):
        found.run_sync("What?")
    assert script.asked == 1


def test_files_do_not_pass(guard: Any) -> None:
    picture = BinaryContent(b"x", media_type="image/png")
    model = FunctionModel(lambda _messages, _info: ModelResponse(parts=[FilePart(picture)]))
    with pytest.raises(InputError, match="file"):
        Agent(model, capabilities=[EdgeguardCapability(guard)]).run_sync("What?")
    script = Script(ToolCallPart("look_up", {}), "So it is.")
    found = Agent(FunctionModel(script), capabilities=[EdgeguardCapability(guard)])

    @found.tool_plain
    def look_up() -> BinaryContent:
        return picture

    with pytest.raises(InputError):
        found.run_sync("What?")


def test_without_a_model_nothing_passes(tmp_path: Any) -> None:
    script = Script("a")
    with pytest.raises(ModelNotFoundError):
        agent(AsyncGuard(str(tmp_path / "missing.gguf")), script).run_sync("What?")
    assert script.asked == 0


def test_many_runs_at_once_and_some_cancelled(guard: Any) -> None:
    async def one(number: int) -> bool:
        run = agent(guard, Script("unsafe" if number % 2 else "Mild.")).run("What?")
        task = asyncio.ensure_future(run)
        if number % 5 == 0:
            await asyncio.sleep(0)
            task.cancel()
        try:
            return (await task).output == "Mild."
        except ContentFilterError:
            return bool(number % 2)
        except asyncio.CancelledError:
            return number % 5 == 0

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*map(one, range(20)))

    assert all(asyncio.run(all_of_them()))


def test_what_the_page_shows(guard: Any, upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.adapters.pydantic_ai.default_guard", lambda: guard)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    shown: dict[str, Any] = {}
    exec(block("pydantic-ai", "python"), shown)
    assert shown["ask"]("What is the capital?") == MILD
    for text in ("Say something unsafe.", "Do harm."):
        assert shown["ask"](text).startswith("withheld: ")
