"""A pipeline of Haystack with the component on both sides of a generator."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fake_upstream import MILD
from haystack import Pipeline, component
from haystack.dataclasses import ChatMessage
from pages import block

from edgeguard.adapters.haystack import EdgeguardRouter
from edgeguard.async_guard import AsyncGuard
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
    shown: dict[str, Any] = {}
    exec(block("haystack", "python", 1, server=url), shown)
    router = shown["router"]
    assert "unsafe" in router.run([ChatMessage.from_user("This is unsafe.")])
    assert "safe" in router.run([ChatMessage.from_user("What is the capital?")])


def test_what_the_page_shows(guard: Any, upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.adapters.haystack.shared_guard", lambda *_, **__: guard)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    shown: dict[str, Any] = {}
    exec(block("haystack", "python"), shown)
    assert shown["ask"]("What is the capital?") == MILD
    for text in ("Say something unsafe.", "Do harm."):
        assert shown["ask"](text) == "withheld"


def test_without_a_model_nothing_passes(tmp_path: Any) -> None:
    with pytest.raises(Exception, match="missing"):  # Haystack's own, with ours as its cause
        ask(AsyncGuard(str(tmp_path / "missing.gguf")), "What?", "It is Paris.")


def test_many_pipelines_at_once(guard: Any) -> None:
    def one(number: int) -> bool:
        found = ask(guard, "What?", "This is unsafe." if number % 2 else "It is Paris.")
        return ("flagged" in found["behind"]) is bool(number % 2)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(one, range(12)))


def test_an_async_pipeline(guard: Any) -> None:
    async def run(text: str) -> dict[str, Any]:
        pipeline = Pipeline()
        pipeline.add_component("before", EdgeguardRouter(guard=guard))
        pipeline.add_component("generator", Generator("It is Paris."))
        pipeline.connect("before.passed", "generator.messages")
        given = {"before": {"messages": [ChatMessage.from_user(text)]}}
        return dict(await pipeline.run_async(given))

    assert "generator" in asyncio.run(run("What?"))
    assert "generator" not in asyncio.run(run("unsafe"))
