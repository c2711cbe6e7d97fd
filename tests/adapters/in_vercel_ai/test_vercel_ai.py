"""Vercel's AI SDK through the proxy, with the program of docs/hosts/vercel-ai.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_upstream import MILD
from pages import block

pytestmark = pytest.mark.host
ENVIRONMENT = Path(sys.prefix)  # where its packages are


def run(proxy: str, prompt: str) -> subprocess.CompletedProcess[str]:
    program = block("vercel-ai", "js", proxy=proxy)
    assert program.count("What is the capital of France?") == 1
    file = ENVIRONMENT / "page.mjs"
    file.write_text(program.replace("What is the capital of France?", prompt), "utf-8")
    return subprocess.run(
        ["node", file], capture_output=True, text=True, timeout=120, cwd=ENVIRONMENT
    )


def test_what_is_safe_passes(proxy: str) -> None:
    said = run(proxy, "What is the capital?")
    assert said.returncode == 0, said.stderr
    whole, stream = said.stdout.splitlines()
    assert whole == f"{MILD} stop"
    assert stream.split() == f"{MILD} stop".split()


@pytest.mark.parametrize("prompt", ["Do harm.", "Say something unsafe."])
def test_what_is_blocked(proxy: str, prompt: str) -> None:
    said = run(proxy, prompt)
    assert said.returncode == 0, said.stderr
    assert "what is unsafe" not in said.stdout
    assert said.stdout.count("stopped by a content filter. content-filter\n") == 2


def test_without_a_proxy_nothing_is_shown() -> None:
    said = run("http://127.0.0.1:9", "What is the capital?")
    assert (said.returncode, said.stdout) == (1, "")
    assert "Cannot connect to API" in said.stderr
