"""LlamaIndex through the proxy, as docs/hosts/llama-index.md has it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from fake_upstream import MILD
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from pages import block

pytestmark = pytest.mark.host


def model(proxy: str) -> Any:
    exec(block("llama-index", "python", proxy=proxy), {})
    return Settings.llm


def chat(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


def test_what_is_safe_passes(proxy: str) -> None:
    llm = model(proxy)
    assert llm.chat(chat("What is the capital?")).message.content == MILD
    assert llm.complete("What is the capital?").text == MILD
    pieces = [each.delta for each in llm.stream_chat(chat("What is the capital?"))]
    assert "".join(map(str, pieces)).strip() == MILD
    assert len(pieces) > 1


@pytest.mark.parametrize("text", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, text: str) -> None:
    llm = model(proxy)
    answer = llm.chat(chat(text))
    assert "what is unsafe" not in str(answer.message.content)
    assert answer.raw.choices[0].finish_reason == "content_filter"
    pieces = [str(each.delta) for each in llm.stream_chat(chat(text))]
    assert "what is unsafe" not in "".join(pieces)
    assert "content filter" in "".join(pieces)


@pytest.mark.parametrize(("text", "passes"), [("What is it?", True), ("Do harm.", False)])
def test_an_agent(proxy: str, text: str, passes: bool) -> None:
    async def run() -> str:
        agent = FunctionAgent(tools=[], llm=model(proxy), streaming=True)
        return str(await agent.run(text))

    answer = asyncio.run(run())
    assert ("Paris" in answer, "what is unsafe" in answer) == (passes, False)


def test_without_a_proxy_nothing_passes() -> None:
    llm = model("http://127.0.0.1:9")
    llm.max_retries = 0
    with pytest.raises(openai.APIConnectionError):
        llm.chat(chat("What?"))
