"""LiteLLM's proxy with each of the three guardrails, asked by OpenAI's client."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from fake_upstream import MILD as MILD_ANSWER
from pages import block

pytestmark = pytest.mark.host

HERE = Path(__file__).parent
MILD = [{"role": "user", "content": "What is the capital of France?"}]
UNSAFE = [{"role": "user", "content": "Tell me something unsafe."}]
HARM = [{"role": "user", "content": "Do harm."}]
KEY = f"sk-{secrets.token_hex(32)}"
BOTH = ["over-http", "in-process"]
ALL = ["moderation-of-answers", *BOTH, "shown-ahead"]
Json = dict[str, Any]


def configuration(url: str, upstream: str) -> Json:
    """What the page shows, under names of their own, none of them always on; and a few more."""
    over_http, in_process, moderation = (
        yaml.safe_load(block("litellm", "yaml", place, server=url))["guardrails"]
        for place in range(3)
    )
    names = ["over-http", "in-process", "moderation-of-prompts", "moderation-of-answers"]
    found = [*over_http, *in_process, *moderation]
    for guardrail, name in zip(found, names, strict=True):
        guardrail["guardrail_name"] = name
        assert guardrail["litellm_params"].pop("default_on") is True
    found.append(_changed(found[0], "shown-ahead", streaming_buffer_until_moderated=False))
    found.append(_changed(found[0], "down", api_base="http://127.0.0.1:9"))
    found.append(_changed(found[2], "down-prompts", api_base="http://127.0.0.1:9/v1"))
    found.append(_changed(found[3], "down-answers", api_base="http://127.0.0.1:9/v1"))
    common = {"api_key": "x", "api_base": upstream}
    models = {
        "model": {**common, "model": "openai/fake"},
        "edgeguard-moderation": {
            "model": "openai/omni-moderation-latest",
            "api_key": "x",
            "api_base": f"{url}/v1",
        },
    }
    listed = [{"model_name": name, "litellm_params": each} for name, each in models.items()]
    return {"model_list": listed, "guardrails": found}


def _changed(guardrail: Json, name: str, **params: Any) -> Json:
    return {"guardrail_name": name, "litellm_params": {**guardrail["litellm_params"], **params}}


@pytest.fixture(scope="module")
def proxy(url: str, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's URL; the adapter in its process makes its guard on the fake model."""
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(url, upstream)), "utf-8")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    log = (folder / "log.txt").open("w")
    path = os.pathsep.join((str(HERE.parent / "in_process"), os.environ["PYTHONPATH"]))
    popen = subprocess.Popen(
        [Path(sys.executable).parent / "litellm", "--config", "config.yaml", "--port", str(port)],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "PYTHONPATH": path,
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
    deadline = time.monotonic() + 400
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


def ask(client: openai.OpenAI, messages: list[Json], *names: str, **more: Any) -> str:
    said = client.chat.completions.create(
        model="model", messages=messages, extra_body={"guardrails": list(names), **more}
    )  # type: ignore[call-overload]
    return str(said.choices[0].message.content)


def stream(client: openai.OpenAI, messages: list[Json], *names: str) -> tuple[str, bool]:
    """What is shown, and whether it ended with an error."""
    found = ""
    try:
        for chunk in client.chat.completions.create(
            model="model", messages=messages, stream=True, extra_body={"guardrails": list(names)}
        ):  # type: ignore[call-overload]
            found += chunk.choices[0].delta.content or "" if chunk.choices else ""
    except openai.APIError:
        return found, True
    return found, False


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
    assert "Paris" in ask(client, MILD, name)
    with pytest.raises(openai.BadRequestError):
        ask(client, UNSAFE, name)


@pytest.mark.parametrize("name", ["moderation-of-answers", *BOTH])
def test_answers(client: openai.OpenAI, url: str, name: str) -> None:
    before = judged(url, "response")
    assert "Paris" in ask(client, MILD, name)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, HARM, name)
    if name in BOTH:
        assert "Unsafe: Violent" in str(refused.value)
    assert (judged(url, "response") > before) is (name != "in-process")


@pytest.mark.parametrize("name", ALL)
def test_streams(client: openai.OpenAI, name: str) -> None:
    assert stream(client, MILD, name) == (f"{MILD_ANSWER} ", False)
    shown, failed = stream(client, HARM, name)
    assert failed
    assert "how it is done" not in shown
    if name == "over-http":
        assert shown == ""  # as the page configures it


@pytest.mark.parametrize("name", BOTH)
def test_an_answer_is_judged_in_its_context(client: openai.OpenAI, name: str) -> None:
    """The fake model flags every answer in a conversation that names what is unsafe."""
    before = [*UNSAFE, {"role": "assistant", "content": "No."}, *MILD]
    with pytest.raises(openai.BadRequestError):
        ask(client, before, name)


def test_moderation_through_the_proxy(client: openai.OpenAI) -> None:
    said = client.moderations.create(model="edgeguard-moderation", input="unsafe (PII)")
    assert said.results[0].flagged
    assert said.results[0].categories.to_dict()["PII"] is True


def test_what_cannot_be_judged_does_not_pass(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "What is this?"}
    for parts in ([{"type": "text", "text": " "}], [text, image], [image, text]):
        for name in BOTH:
            with pytest.raises(openai.APIStatusError):
                ask(client, [{"role": "user", "content": parts}], name)
    # Of a picture alone, LiteLLM asks no guardrail; the page says so.
    assert ask(client, [{"role": "user", "content": [image]}], *BOTH) == MILD_ANSWER


@pytest.mark.parametrize("name", ["down", "down-prompts", "down-answers"])
def test_without_a_guard_nothing_passes(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, MILD, name)
    assert refused.value.status_code >= 400
    assert stream(client, MILD, name)[1]


def test_a_client_cannot_choose_the_policy(client: openai.OpenAI) -> None:
    """Without the licence; with it, the server refuses a policy that it was not started with."""
    wish = [{"over-http": {"extra_body": {"policy": "none", "skip_images": True}}}]
    with pytest.raises(openai.BadRequestError):
        ask(client, UNSAFE, guardrails=wish)


def test_long_texts_and_many_at_once(client: openai.OpenAI) -> None:
    long = [{"role": "user", "content": "mild words " * 20_000 + "unsafe"}]

    def one(number: int) -> bool:
        name = BOTH[number % 2]
        messages = long if number == 0 else UNSAFE if number % 3 == 0 else MILD
        try:
            ask(client, messages, name)
        except openai.BadRequestError:
            return messages is not MILD
        return messages is MILD

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(24)))
