"""LiteLLM as a client of `edgeguard proxy`: it changes its base URL and nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litellm
import pytest

pytestmark = [
    pytest.mark.host,
    pytest.mark.filterwarnings("ignore"),  # LiteLLM's own
]

STORY = "Once upon a time there was a small dog. Er hieß Möpschen 🐕. The end."
REFUSAL = "stopped by a content filter"
MODELS = ["openai/story", "anthropic/story", "openai/responses/story", "hosted_vllm/story"]


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    command = [os.environ["EDGEGUARD_TEST_PYTHON"], Path(__file__).parents[1] / "story_proxy.py"]
    popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    try:
        url = popen.stdout.readline().strip()
        assert url.startswith("http"), "the proxy did not start"
        yield url
    finally:
        popen.communicate(timeout=60)


def options(model: str, proxy: str, kind: str) -> dict[str, Any]:
    base = proxy if model.startswith("anthropic") else f"{proxy}/v1"
    messages = [{"role": "user", "content": f"Tell me a {kind} story."}]
    return {"model": model, "api_base": base, "api_key": "x", "messages": messages}


def streamed(parts: Any) -> tuple[str, str | None]:
    text, end = "", None
    for part in parts:
        for choice in part.choices:
            text += choice.delta.content or ""
            end = choice.finish_reason or end
    return text, end


@pytest.mark.parametrize("model", MODELS)
def test_a_harmless_story_comes_as_it_was_written(proxy: str, model: str) -> None:
    asked = options(model, proxy, "mild")
    said = litellm.completion(**asked).choices[0]
    assert (said.message.content, said.finish_reason) == (STORY, "stop")
    assert streamed(litellm.completion(**asked, stream=True)) == (STORY, "stop")


@pytest.mark.parametrize("model", MODELS)
def test_a_harmful_one_is_stopped_before_it(proxy: str, model: str) -> None:
    asked = options(model, proxy, "harmful")
    text, end = streamed(litellm.completion(**asked, stream=True))
    assert "unsafe" not in text
    assert REFUSAL in text
    said = litellm.completion(**asked).choices[0]
    assert REFUSAL in said.message.content
    if "responses" not in model:  # of that API's streams LiteLLM keeps the end alone, if cut off
        assert text.startswith("Once upon a time")
        assert (end, said.finish_reason) == ("content_filter", "content_filter")


@pytest.mark.parametrize("model", MODELS)
def test_a_prompt_that_is_flagged(proxy: str, model: str) -> None:
    text, _ = streamed(litellm.completion(**options(model, proxy, "unsafe"), stream=True))
    assert "Once" not in text
    assert REFUSAL in text


def test_awaited(proxy: str) -> None:
    async def ask() -> str:
        asked = options("openai/story", proxy, "mild")
        parts = await litellm.acompletion(**asked, stream=True)
        return "".join([part.choices[0].delta.content or "" async for part in parts])

    assert asyncio.run(ask()) == STORY


def test_completions_and_embeddings(proxy: str) -> None:
    common = {"api_base": f"{proxy}/v1", "api_key": "x"}
    for kind, end in (("mild", "stop"), ("harmful", "content_filter")):
        said = litellm.text_completion(
            model="text-completion-openai/m", prompt=f"A {kind} story", **common
        )
        assert said.choices[0].finish_reason == end
    found = litellm.embedding(model="openai/m", input=["One"], encoding_format="float", **common)
    assert found.data[0]["embedding"] == [0.5, 1.0]
    with pytest.raises(litellm.BadRequestError, match="content filter"):
        litellm.embedding(model="openai/m", input=["An unsafe one"], **common)


def test_what_is_refused_says_what_to_type(proxy: str) -> None:
    asked = options("openai/story", proxy, "mild")
    with pytest.raises(litellm.BadRequestError, match="--allow logprobs"):
        litellm.completion(**asked, logprobs=True)
