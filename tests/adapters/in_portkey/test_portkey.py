"""Portkey's gateway with the configuration of docs/hosts/portkey.md, as a process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_upstream import HARMFUL, MILD
from pages import block

pytestmark = pytest.mark.host
MODULES = Path(sys.prefix) / "node_modules"
DENIED = 446


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    program = MODULES / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    command = ["node", program, f"--port={port}", "--headless"]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            assert popen.poll() is None, popen.stdout and popen.stdout.read()[-3000:]
            assert time.monotonic() < deadline
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        popen.terminate()
        popen.communicate(timeout=30)


def config(server: str, upstream: str, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(block("portkey", "json", server=server))
    found["custom_host"] = upstream
    for name in ("input_guardrails", "output_guardrails"):
        for guardrail in found[name]:
            guardrail["default.webhook"] |= changed
    return found


def ask(gateway: str, config: dict[str, Any], text: str, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{gateway}/v1/chat/completions",
        headers={"x-portkey-config": json.dumps(config), "authorization": "Bearer x"},
        json={"model": "fake", "messages": [{"role": "user", "content": text}], **more},
        trust_env=False,
        timeout=60,
    )


def test_what_is_safe_passes(gateway: str, url: str, upstream: str) -> None:
    answer = ask(gateway, config(url, upstream), "What is the capital?")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["choices"][0]["message"]["content"] == MILD
    hooks = found["hook_results"]
    for name in ("before_request_hooks", "after_request_hooks"):
        assert hooks[name][0]["verdict"] is True


def test_a_prompt_is_denied(gateway: str, url: str, upstream: str) -> None:
    answer = ask(gateway, config(url, upstream), "Say something unsafe.")
    assert answer.status_code == DENIED
    assert answer.json()["error"]["type"] == "hooks_failed"


def test_an_answer_is_denied(gateway: str, url: str, upstream: str) -> None:
    answer = ask(gateway, config(url, upstream), "Do harm.")
    assert answer.status_code == DENIED
    assert HARMFUL not in answer.text


def test_a_picture_is_denied(gateway: str, url: str, upstream: str) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:,"}}]
    assert ask(gateway, config(url, upstream), image).status_code == DENIED  # type: ignore[arg-type]


def test_a_guard_that_is_down_or_slow_denies(gateway: str, upstream: str) -> None:
    assert ask(gateway, config("http://127.0.0.1:9", upstream), "What?").status_code == DENIED
    with socket.create_server(("127.0.0.1", 0)) as slow:
        address = f"http://127.0.0.1:{slow.getsockname()[1]}"
        answer = ask(gateway, config(address, upstream, timeout=500), "What?")
    assert answer.status_code == DENIED
    careless = config("http://127.0.0.1:9", upstream, failOnError=False)
    assert ask(gateway, careless, "What?").status_code == 200  # as the page warns


def test_a_stream_is_not_covered_and_the_proxy_covers_it(
    gateway: str, url: str, upstream: str, proxy: str
) -> None:
    answer = ask(gateway, config(url, upstream), "Do harm.", stream=True)
    assert (answer.status_code, "unsafe" in answer.text) == (246, True)  # as the page warns
    answer = ask(gateway, config(url, f"{proxy}/v1"), "Do harm.", stream=True)
    assert "unsafe" not in answer.text
    assert "content_filter" in answer.text


def test_a_prompt_of_a_stream_is_denied(gateway: str, url: str, upstream: str) -> None:
    assert ask(gateway, config(url, upstream), "unsafe", stream=True).status_code == DENIED
