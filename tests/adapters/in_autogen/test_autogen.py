"""AutoGen through the proxy, as the line in docs/hosts/README.md has it."""

from __future__ import annotations

import asyncio

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fake_upstream import MILD

pytestmark = pytest.mark.host


def ask(base: str, text: str) -> str:
    async def run() -> str:
        info = ModelInfo(
            vision=False, function_calling=True, json_output=False, family="unknown",
            structured_output=False,
        )  # fmt: skip
        client = OpenAIChatCompletionClient(
            model="fake", base_url=base, api_key="x", model_info=info, max_retries=0
        )
        answer = await AssistantAgent("helper", client).run(task=text)
        return str(answer.messages[-1].content)  # type: ignore[union-attr]

    return asyncio.run(run())


def test_what_is_safe_passes(proxy: str) -> None:
    assert ask(f"{proxy}/v1", "What is the capital?") == MILD


@pytest.mark.parametrize("text", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, text: str) -> None:
    answer = ask(f"{proxy}/v1", text)
    assert "what is unsafe" not in answer
    assert "content filter" in answer


def test_without_a_proxy_nothing_passes() -> None:
    with pytest.raises(Exception, match=r"[Cc]onnection error"):
        ask("http://127.0.0.1:9/v1", "What?")
