"""CrewAI through the proxy, as docs/hosts/crewai.md has it."""

from __future__ import annotations

import os

os.environ |= {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true"}
os.environ |= {"CREWAI_TRACING_ENABLED": "false", "CREWAI_TESTING": "true"}

from typing import Any

import pytest
from fake_upstream import MILD
from pages import block

pytestmark = pytest.mark.host


def page(proxy: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(block("crewai", "python", proxy=proxy), found)
    return found


def test_what_is_safe_passes(proxy: str) -> None:
    assert page(proxy)["ask"]("What is the capital?") == MILD


@pytest.mark.parametrize("text", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, text: str) -> None:
    answer = page(proxy)["ask"](text)
    assert "what is unsafe" not in answer
    assert "content filter" in answer


def test_without_a_proxy_nothing_passes() -> None:
    with pytest.raises(Exception, match=r"[Cc]onnect"):
        page("http://127.0.0.1:9")["ask"]("What is the capital?")
