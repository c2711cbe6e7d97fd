"""OpenAI's Agents SDK with both guardrails, on a fake model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import (
    Agent,
    InputGuardrailTripwireTriggered,
    Model,
    ModelResponse,
    OutputGuardrailTripwireTriggered,
    RunConfig,
    Runner,
    Usage,
    set_tracing_disabled,
)
from fake_upstream import MILD
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputMessage,
    ResponseOutputText,
)
from pages import block

from edgeguard.adapters.agents import input_guardrail, output_guardrail
from edgeguard.adapters.common import default_guard, shared_guard
from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import InputError, ModelNotFoundError

pytestmark = pytest.mark.host


class Fake(Model):
    """Has one answer, and counts how often it was asked."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked = 0

    def _message(self) -> ResponseOutputMessage:
        self.asked += 1
        text = ResponseOutputText(type="output_text", text=self.answer, annotations=[])
        return ResponseOutputMessage(
            id="1", type="message", role="assistant", status="completed", content=[text]
        )

    async def get_response(self, *_args: Any, **_options: Any) -> ModelResponse:
        return ModelResponse(output=[self._message()], usage=Usage(), response_id=None)

    async def stream_response(self, *_args: Any, **_options: Any) -> AsyncIterator[Any]:
        response = Response(
            id="1", created_at=0, model="fake", object="response", output=[self._message()],
            tool_choice="auto", tools=[], parallel_tool_calls=False,
        )  # fmt: skip
        yield ResponseCompletedEvent(
            type="response.completed", response=response, sequence_number=0
        )


def agent(guard: Any, model: Fake) -> Agent[Any]:
    return Agent(
        name="fake",
        model=model,
        input_guardrails=[input_guardrail(guard)],
        output_guardrails=[output_guardrail(guard)],
    )


def run(guard: Any, answer: str, given: Any) -> tuple[str, Fake]:
    model = Fake(answer)
    config = RunConfig(tracing_disabled=True)
    result = asyncio.run(Runner.run(agent(guard, model), given, run_config=config))
    return str(result.final_output), model


def test_what_is_safe_passes(guard: Any) -> None:
    assert run(guard, "It is Paris.", "What is the capital?")[0] == "It is Paris."


def test_a_prompt_is_a_tripwire_before_the_model_is_asked(guard: Any) -> None:
    model = Fake("a")
    with pytest.raises(InputGuardrailTripwireTriggered) as raised:
        asyncio.run(Runner.run(agent(guard, model), "Say something unsafe."))
    assert model.asked == 0
    verdict = raised.value.guardrail_result.output.output_info
    assert (verdict["severity"], verdict["mode"]) == ("Unsafe", "prompt")


def test_an_answer_is_a_tripwire_and_is_judged_in_its_context(guard: Any) -> None:
    with pytest.raises(OutputGuardrailTripwireTriggered) as raised:
        run(guard, "Here is what is unsafe.", "What?")
    verdict = raised.value.guardrail_result.output.output_info
    assert (verdict["severity"], verdict["mode"]) == ("Unsafe", "response")


def test_items(guard: Any) -> None:
    given = [
        {"role": "user", "content": [{"type": "input_text", "text": "What?"}]},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "And?"},
    ]
    assert run(guard, "It is Paris.", given)[0] == "It is Paris."
    given[-1]["content"] = [{"type": "input_text", "text": "unsafe"}]
    with pytest.raises(InputGuardrailTripwireTriggered):
        run(guard, "It is Paris.", given)


def test_a_stream_ends_with_the_tripwire(guard: Any) -> None:
    async def stream(answer: str) -> str:
        result = Runner.run_streamed(agent(guard, Fake(answer)), "What?")
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    assert asyncio.run(stream("It is Paris.")) == "It is Paris."
    with pytest.raises(OutputGuardrailTripwireTriggered):
        asyncio.run(stream("This is unsafe."))


def test_what_cannot_be_judged_does_not_pass(guard: Any) -> None:
    image = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]
    for given in (image, " "):
        with pytest.raises(InputError):
            run(guard, "a", given)


def test_without_a_model_nothing_passes(tmp_path: Any) -> None:
    broken = AsyncGuard(str(tmp_path / "missing.gguf"))
    model = Fake("a")
    with pytest.raises(ModelNotFoundError):
        asyncio.run(Runner.run(agent(broken, model), "What?"))
    assert model.asked == 0


def test_many_runs_at_once(guard: Any) -> None:
    config = RunConfig(tracing_disabled=True)

    async def one(number: int) -> bool:
        model = Fake("This is unsafe." if number % 2 else "Mild.")
        try:
            result = await Runner.run(agent(guard, model), "What?", run_config=config)
        except OutputGuardrailTripwireTriggered:
            return bool(number % 2)
        return str(result.final_output) == "Mild."

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*map(one, range(10)))

    assert all(asyncio.run(all_of_them()))


def test_what_the_page_shows(guard: Any, upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.adapters.agents.default_guard", lambda: guard)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    set_tracing_disabled(True)
    shown: dict[str, Any] = {}
    exec(block("openai-agents", "python"), shown)
    assert shown["ask"]("What is the capital?") == MILD
    for text in ("Say something unsafe.", "Do harm."):
        assert shown["ask"](text) == "withheld: Unsafe, ['Violent']"
    exec(block("openai-agents", "python", 1), shown)
    assert shown["voice"].output_guardrails


def test_a_process_has_one_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    assert default_guard() is default_guard()
    monkeypatch.setenv("EDGEGUARD_POLICY", "loose")
    assert default_guard() is not shared_guard("nano", "strict")
