"""smolagents through the proxy, as the line in docs/hosts/README.md has it."""

from __future__ import annotations

from typing import Any

import pytest
from fake_upstream import MILD
from smolagents import CodeAgent, OpenAIModel

pytestmark = pytest.mark.host


def agent(base: str) -> Any:
    model = OpenAIModel(model_id="fake", api_base=base, api_key="x")
    return CodeAgent(tools=[], model=model, max_steps=1, verbosity_level=0)


def test_what_is_safe_passes(proxy: str) -> None:
    assert agent(f"{proxy}/v1").run("What is the capital?") == MILD


@pytest.mark.parametrize("text", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, text: str) -> None:
    assert "what is unsafe" not in str(agent(f"{proxy}/v1").run(text))


def test_without_a_proxy_nothing_passes() -> None:
    with pytest.raises(Exception, match=r"[Cc]onnection error"):
        agent("http://127.0.0.1:9/v1").run("What?")
