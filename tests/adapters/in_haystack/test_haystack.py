"""A pipeline of Haystack with the component on both sides of a generator."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.routers import LLMMessagesRouter
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

from edgeguard.adapters.haystack import EdgeguardRouter
from edgeguard.errors import InputError

pytestmark = pytest.mark.host


@component
class Generator:
    """Answers the conversation, and gives it back with the answer."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    @component.output_types(messages=list[ChatMessage])
    def run(self, messages: list[ChatMessage]) -> dict[str, Any]:
        return {"messages": [*messages, ChatMessage.from_assistant(self.answer)]}


def ask(guard: Any, text: str, answer: str) -> dict[str, Any]:
    pipeline = Pipeline()
    pipeline.add_component("before", EdgeguardRouter(guard=guard))
    pipeline.add_component("generator", Generator(answer))
    pipeline.add_component("behind", EdgeguardRouter(guard=guard))
    pipeline.connect("before.passed", "generator.messages")
    pipeline.connect("generator.messages", "behind.messages")
    return dict(pipeline.run({"before": {"messages": [ChatMessage.from_user(text)]}}))


def test_what_is_safe_passes(guard: Any) -> None:
    found = ask(guard, "What is the capital?", "It is Paris.")
    assert [each.text for each in found["behind"]["passed"]] == [
        "What is the capital?",
        "It is Paris.",
    ]
    assert found["behind"]["verdict"]["mode"] == "response"


def test_a_prompt_that_is_flagged(guard: Any) -> None:
    found = ask(guard, "Say something unsafe.", "a")
    assert "behind" not in found
    assert found["before"]["verdict"]["categories"] == ["Violent"]
    assert len(found["before"]["flagged"]) == 1


def test_an_answer_that_is_flagged(guard: Any) -> None:
    found = ask(guard, "What?", "Here is what is unsafe.")
    assert "passed" not in found["behind"]
    assert found["behind"]["verdict"]["mode"] == "response"


def test_it_is_awaited_too(guard: Any) -> None:
    work = EdgeguardRouter(guard=guard).run_async([ChatMessage.from_user("unsafe")])
    assert "flagged" in asyncio.run(work)


def test_it_is_written_down_and_read_again() -> None:
    pipeline = Pipeline()
    pipeline.add_component("guard", EdgeguardRouter("nano", "loose"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["edgeguard.adapters.haystack"])
    assert again.get_component("guard").to_dict()["init_parameters"] == {
        "model": "nano",
        "policy": "loose",
    }


def test_what_cannot_be_judged_does_not_pass(guard: Any) -> None:
    with pytest.raises(InputError):
        EdgeguardRouter(guard=guard).run([ChatMessage.from_user(" ")])


def test_haystack_s_own_router(url: str) -> None:
    generator = OpenAIChatGenerator(
        api_key=Secret.from_token("x"), api_base_url=f"{url}/v1", model="Qwen3Guard-Gen-0.6B"
    )
    router = LLMMessagesRouter(
        chat_generator=generator,
        output_names=["unsafe", "safe"],
        output_patterns=["Safety: (Unsafe|Controversial)", "Safety: Safe"],
    )
    assert "unsafe" in router.run([ChatMessage.from_user("This is unsafe.")])
    assert "safe" in router.run([ChatMessage.from_user("What is the capital?")])
