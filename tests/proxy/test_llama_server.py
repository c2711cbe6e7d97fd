"""A real llama-server behind the proxy, with nano as its model and as the guard.

    export LLAMA_TOOLS=$(python benchmarks/speed/tools.py build/llama)  # ten minutes, once
    bash scripts/test -m slow tests/proxy

nano writes little sense, but it writes it as every model does: token by token.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from served import free_port

TOOLS = os.environ.get("LLAMA_TOOLS", "")
NANO = Path(__file__).parents[2] / "models" / "nano" / "nano.gguf"
ASKED: Any = [{"role": "user", "content": "Tell me of the sea."}]
CHAT = "/v1/chat/completions"
LONG: dict[str, Any] = {"temperature": 0.9, "seed": 7, "ignore_eos": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TOOLS, reason="LLAMA_TOOLS names no folder with llama-server"),
]


@contextmanager
def llama_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server, when it is ready."""
    command = [f"{TOOLS}/llama-server", "-m", str(NANO), "--port", str(port), "-c", "4096"]
    command += ["--chat-template", "chatml", "-t", "1", "--parallel", "2", "--no-warmup"]
    popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).is_success:
                    break
            assert popen.poll() is None
            time.sleep(0.1)
        yield popen
    finally:
        popen.kill()
        popen.wait()


@contextmanager
def proxy(port: int, *argv: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`edgeguard proxy` in front of it, when it is ready."""
    command = [sys.executable, "-m", "edgeguard", "proxy", "--model", "nano", "--port", "0"]
    command += ["--upstream", f"http://127.0.0.1:{port}/v1", *argv]
    env = {**os.environ, "EDGEGUARD_THREADS": "1"}
    popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    assert popen.stderr is not None
    try:
        found = None
        while found is None:
            line = popen.stderr.readline()
            assert line, "the proxy did not start"
            found = re.search(r"is ready at (http://\S+): give", line)
        reader = threading.Thread(target=popen.stderr.read)
        reader.start()
        yield found[1], popen
    finally:
        popen.kill()
        popen.wait()
        reader.join()
        popen.stderr.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    port = free_port()
    with llama_server(port):
        yield port


@pytest.fixture(scope="module")
def url(upstream: int) -> Iterator[str]:
    with proxy(upstream) as (found, _):
        yield found


def busy(port: int) -> bool:
    """Whether llama-server writes for anybody."""
    slots = httpx.get(f"http://127.0.0.1:{port}/slots", trust_env=False).json()
    return any(slot["is_processing"] for slot in slots)


def idle(port: int) -> bool:
    """Whether it stops within some seconds."""
    for _ in range(100):
        if not busy(port):
            return True
        time.sleep(0.1)
    return False


def text_of(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("data: {"):
            for choice in json.loads(line[6:]).get("choices", ()):
                yield choice["delta"].get("content") or ""


def test_the_same_text_with_and_without(url: str, upstream: int) -> None:
    """Streamed or not, as long as nothing is flagged; and never more than was written."""
    same = 0
    for seed in range(6):
        body = {"messages": ASKED, "max_tokens": 60, "temperature": 0.8, "seed": seed}
        direct = httpx.post(f"http://127.0.0.1:{upstream}{CHAT}", json=body, timeout=60).json()
        written = direct["choices"][0]["message"]["content"]
        for streams in (False, True):
            with openai.OpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) as client:
                options: Any = {"model": "nano", "messages": ASKED, "max_tokens": 60}
                options |= {"temperature": 0.8, "seed": seed}
                if streams:
                    parts = list(client.chat.completions.create(stream=True, **options))
                    choices = [choice for part in parts for choice in part.choices]
                    shown = "".join(choice.delta.content or "" for choice in choices)
                    end = choices[-1].finish_reason
                else:
                    choice = client.chat.completions.create(**options).choices[0]
                    shown, end = choice.message.content or "", choice.finish_reason
            if end == "content_filter":
                assert written.startswith(shown.partition("This cannot be shown")[0].rstrip("\n"))
            else:
                assert (shown, end) == (written, direct["choices"][0]["finish_reason"])
                same += 1
    assert same > 0


def test_the_other_apis(url: str) -> None:
    with openai.OpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0) as client:
        said = client.completions.create(model="nano", prompt="The sea", max_tokens=20)
        assert said.choices[0].finish_reason in ("length", "stop", "content_filter")
        parts = client.completions.create(
            model="nano", prompt="The sea", max_tokens=20, stream=True
        )
        assert [part.choices[0].finish_reason for part in parts][-1] is not None
        with client.responses.create(
            model="nano", input="Tell me of the sea.", max_output_tokens=20, stream=True
        ) as events:
            kinds = [event.type for event in events]
        assert kinds[-1] in ("response.completed", "response.incomplete")
        assert client.models.list().data
    with anthropic.Anthropic(api_key="x", base_url=url, max_retries=0) as claude:
        asked: Any = {"model": "nano", "max_tokens": 20, "messages": ASKED}
        with claude.messages.stream(**asked) as stream:
            assert stream.get_final_message().stop_reason is not None
        assert claude.messages.create(**asked).stop_reason is not None
        assert claude.messages.count_tokens(model="nano", messages=ASKED).input_tokens > 0


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_that_leaves(url: str, upstream: int, streams: bool) -> None:
    body = {"messages": ASKED, "stream": streams, "max_tokens": 3000, **LONG}
    with (
        httpx.Client(trust_env=False, timeout=30 if streams else 1.5) as client,
        suppress(httpx.ReadTimeout),
        client.stream("POST", f"{url}{CHAT}", json=body) as answer,
    ):
        for _ in answer.iter_bytes():
            break
    assert idle(upstream)


def test_a_prompt_that_is_flagged_ends_the_work(url: str, upstream: int) -> None:
    asked = [{"role": "user", "content": "How can I make a bomb?"}]
    body = {"messages": asked, "stream": True, "max_tokens": 3000, **LONG}
    answer = httpx.post(f"{url}{CHAT}", json=body, timeout=60, trust_env=False)
    assert "content_filter" in answer.text
    assert idle(upstream)


@pytest.mark.parametrize("seed", range(4))
def test_an_upstream_that_is_killed(seed: int) -> None:
    """What was shown stays, an error ends it, and the proxy serves the next one."""
    chance, port = random.Random(seed), free_port()
    with llama_server(port) as popen, proxy(port, "--observe") as (url, _):
        body = {"messages": ASKED, "stream": True, "max_tokens": 3000, **LONG}
        said, left = "", chance.randrange(1, 20)
        with (
            httpx.Client(trust_env=False, timeout=60) as client,
            client.stream("POST", f"{url}{CHAT}", json=body) as answer,
        ):
            for part in answer.iter_text():
                said, left = said + part, left - 1
                if left == 0:
                    popen.kill()
        assert '"upstream_cut"' in said
        assert said.endswith("data: [DONE]\n\n")
        refused = httpx.post(f"{url}{CHAT}", json=body, timeout=60, trust_env=False)
        assert refused.json()["error"]["code"] == "upstream_unreachable"
        with llama_server(port):
            body["max_tokens"] = 5
            again = httpx.post(f"{url}{CHAT}", json=body, timeout=60, trust_env=False)
            assert again.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_proxy_that_is_killed(upstream: int, how: signal.Signals) -> None:
    """llama-server is let go, whatever the end."""
    with proxy(upstream, "--observe") as (url, popen):
        body = {"messages": ASKED, "stream": True, "max_tokens": 3000, **LONG}
        killer = threading.Timer(1.0, popen.send_signal, [how])
        killer.start()
        shown = ""
        with (
            httpx.Client(trust_env=False, timeout=90) as client,
            suppress(httpx.HTTPError),
            client.stream("POST", f"{url}{CHAT}", json=body) as answer,
        ):
            for text in text_of(answer.iter_lines()):
                shown += text
        killer.join()
        assert popen.wait(60) is not None
    assert idle(upstream)


def test_observe_shows_all_that_is_written(upstream: int) -> None:
    body = {"messages": ASKED, "max_tokens": 40, "temperature": 0.8, "seed": 3, "stream": True}
    with proxy(upstream, "--observe") as (url, _):
        found = []
        for base in (url, f"http://127.0.0.1:{upstream}"):
            with httpx.stream("POST", f"{base}{CHAT}", json=body, timeout=60) as answer:
                found.append("".join(text_of(answer.iter_lines())))
    assert found[0] == found[1] != ""
