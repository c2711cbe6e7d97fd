"""LiteLLM's proxy with each of the three guardrails, asked by OpenAI's client."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

pytestmark = pytest.mark.host

HERE = Path(__file__).parent
MILD = [{"role": "user", "content": "What is the capital of France?"}]
UNSAFE = [{"role": "user", "content": "Tell me something unsafe."}]
KEY = f"sk-{secrets.token_hex(32)}"
BOTH = ["over-http", "in-process"]


@pytest.fixture(scope="module")
def proxy(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's URL; it runs in a folder of its own, where its configuration and adapter lie."""
    folder = tmp_path_factory.mktemp("proxy")
    for name in ("config.yaml", "fake_guardrail.py"):
        shutil.copy(HERE / name, folder)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    addresses = {"EDGEGUARD_URL": url, "EDGEGUARD_V1": f"{url}/v1"}
    addresses["EDGEGUARD_RESPONSE_V1"] = f"{url}/response/v1"
    log = (folder / "log.txt").open("w")
    popen = subprocess.Popen(
        [Path(sys.executable).parent / "litellm", "--config", "config.yaml", "--port", str(port)],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            **addresses,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": KEY,
        },
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health/liveliness", popen, folder / "log.txt")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        popen.terminate()
        popen.wait(30)
        log.close()


def _wait(url: str, popen: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert popen.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def client(proxy: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=proxy, max_retries=0) as found:
        yield found


def ask(client: openai.OpenAI, model: str, messages: list[dict[str, str]], *names: str) -> str:
    said = client.chat.completions.create(
        model=model, messages=messages, extra_body={"guardrails": list(names)}
    )  # type: ignore[call-overload]
    return str(said.choices[0].message.content)


def stream(client: openai.OpenAI, model: str, *names: str) -> str:
    found = ""
    for chunk in client.chat.completions.create(
        model=model, messages=MILD, stream=True, extra_body={"guardrails": list(names)}
    ):  # type: ignore[call-overload]
        found += chunk.choices[0].delta.content or ""
    return found


def judged(url: str, mode: str) -> float:
    """How many verdicts of a mode the server has made."""
    lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    wanted = 'edgeguard_verdicts_total{flagged="'
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith(wanted) and f'mode="{mode}"' in line
    )


@pytest.mark.parametrize("name", ["moderation-of-prompts", *BOTH])
def test_prompts(client: openai.OpenAI, name: str) -> None:
    assert "Paris" in ask(client, "mild", MILD, name)
    with pytest.raises(openai.BadRequestError):
        ask(client, "mild", UNSAFE, name)


@pytest.mark.parametrize("name", ["moderation-of-answers", *BOTH])
def test_answers(client: openai.OpenAI, url: str, name: str) -> None:
    before = judged(url, "response")
    assert "Paris" in ask(client, "mild", MILD, name)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "harmful", MILD, name)
    if name in BOTH:
        assert "Unsafe: Violent" in str(refused.value)
    assert (judged(url, "response") > before) is (name != "in-process")


@pytest.mark.parametrize("name", ["moderation-of-answers", *BOTH])
def test_streams(client: openai.OpenAI, name: str) -> None:
    assert "Paris" in stream(client, "mild", name)
    with pytest.raises(openai.APIError):
        stream(client, "harmful", name)


@pytest.mark.parametrize("name", BOTH)
def test_an_answer_is_judged_in_its_context(client: openai.OpenAI, name: str) -> None:
    """The fake model flags every answer in a conversation that names what is unsafe."""
    before = [*UNSAFE, {"role": "assistant", "content": "No."}, *MILD]
    with pytest.raises(openai.BadRequestError):
        ask(client, "mild", before, name)


def test_moderation_through_the_proxy(client: openai.OpenAI) -> None:
    said = client.moderations.create(model="edgeguard-moderation", input="unsafe (PII)")
    assert said.results[0].flagged
    assert said.results[0].categories.to_dict()["PII"] is True


def test_an_unreachable_guard_lets_nothing_pass(client: openai.OpenAI) -> None:
    """What the guard cannot read does not pass either."""
    wrong = [{"role": "user", "content": [{"type": "text", "text": " "}]}]
    for name in BOTH:
        with pytest.raises(openai.APIStatusError):
            ask(client, "mild", wrong, name)  # type: ignore[arg-type]
