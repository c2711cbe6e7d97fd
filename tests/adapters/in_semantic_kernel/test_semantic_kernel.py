"""Semantic Kernel through the proxy, as the line in docs/hosts/README.md has it."""

from __future__ import annotations

import asyncio

import pytest
from fake_upstream import MILD
from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion

pytestmark = pytest.mark.host


def ask(base: str, text: str) -> str:
    async def run() -> str:
        client = AsyncOpenAI(base_url=base, api_key="x", max_retries=0)
        service = OpenAIChatCompletion(ai_model_id="fake", async_client=client)
        return str(await ChatCompletionAgent(service=service, name="helper").get_response(text))

    return asyncio.run(run())


def test_what_is_safe_passes(proxy: str) -> None:
    assert ask(f"{proxy}/v1", "What is the capital?") == MILD


@pytest.mark.parametrize("text", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, text: str) -> None:
    answer = ask(f"{proxy}/v1", text)
    assert "what is unsafe" not in answer
    assert "content filter" in answer


def test_without_a_proxy_nothing_passes() -> None:
    with pytest.raises(Exception, match="failed to complete the prompt"):
        ask("http://127.0.0.1:9/v1", "What?")
