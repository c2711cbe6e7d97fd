"""Ollama's API, with the official client of Ollama and with what its documents show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest
from served import MILD, SAFE_PROMPT, SAFE_RESPONSE, Served, serving

MODEL = "sileader/qwen3guard:0.6b"
USER = {"role": "user", "content": "unsafe"}
UNSAFE = "Safety: Unsafe\nCategories: Violent, PII"


@pytest.fixture(scope="module")
def official(served: Served) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.url, trust_env=False) as found:
        yield found


def test_a_conversation(official: ollama.Client) -> None:
    said = official.chat(model=MODEL, messages=[USER])
    assert said.message.content == UNSAFE
    assert said.message.role == "assistant"
    assert said.model == "fake"
    assert said.done is True
    assert said.done_reason == "stop"
    assert said.eval_count == len(UNSAFE)  # the fake's tokens are bytes
    assert said.prompt_eval_count
    assert said.total_duration


def test_a_response(official: ollama.Client) -> None:
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "Paris."}]
    assert official.chat(model=MODEL, messages=messages).message.content == SAFE_RESPONSE


def test_a_stream(official: ollama.Client) -> None:
    pieces = list(official.chat(model=MODEL, messages=[USER], stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == UNSAFE
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].done_reason == "stop"
    assert pieces[-1].eval_count == len(pieces) - 1 == len(UNSAFE)


def test_a_prompt(official: ollama.Client) -> None:
    assert official.generate(model=MODEL, prompt=MILD).response == SAFE_PROMPT
    pieces = list(official.generate(model=MODEL, prompt="unsafe", stream=True))
    assert "".join(str(piece.response) for piece in pieces) == UNSAFE
    assert pieces[-1].done


def test_the_client_that_is_awaited(served: Served) -> None:
    async def ask() -> str:
        async with ollama.AsyncClient(host=served.url, trust_env=False) as client:
            stream = await client.chat(model=MODEL, messages=[USER], stream=True)
            return "".join([str(piece.message.content or "") async for piece in stream])

    assert asyncio.run(ask()) == UNSAFE


def test_options_of_sampling_change_nothing_and_a_limit_cuts(official: ollama.Client) -> None:
    options = {"temperature": 0, "num_ctx": 4096, "seed": 1, "stop": ["<|im_end|>"]}
    kept = {"keep_alive": "5m", "think": False}
    said = official.chat(model=MODEL, messages=[USER], options=options, **kept)  # type: ignore[call-overload]
    assert said.message.content == UNSAFE
    cut = official.chat(model=MODEL, messages=[USER], options={"num_predict": 8})
    assert (cut.message.content, cut.done_reason) == (UNSAFE[:8], "length")
    for least in (-1, -2):
        said = official.chat(model=MODEL, messages=[USER], options={"num_predict": least})
        assert said.message.content == UNSAFE


def test_without_a_text_the_model_is_loaded(official: ollama.Client) -> None:
    said = official.chat(model=MODEL)
    assert (said.message.content, said.done, said.done_reason) == ("", True, "load")
    assert official.generate(model=MODEL).done_reason == "load"


def test_a_text_that_is_blank_is_an_error(official: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        official.generate(model=MODEL, prompt="  ")
    assert refused.value.status_code == 400
    assert "nothing to judge" in refused.value.error


def test_what_would_change_the_question_or_the_answer_is_refused(official: ollama.Client) -> None:
    asked: dict[str, Any] = {"model": MODEL, "prompt": MILD}
    for more in (
        {"raw": True}, {"template": "x"}, {"suffix": "x"}, {"format": "json"}, {"context": [1]},
        {"format": {"type": "object"}}, {"images": [b"x"]}, {"options": {"stop": ["\n"]}},
    ):  # fmt: skip
        with pytest.raises(ollama.ResponseError) as refused:
            official.generate(**asked, **more)
        assert refused.value.status_code == 400
        assert MILD not in refused.value.error
    with pytest.raises(ollama.ResponseError):
        official.chat(model=MODEL, messages=[{**USER, "images": [b"x"]}])


def test_the_model_is_listed_and_shown(official: ollama.Client) -> None:
    (first, *_) = official.list().models
    assert first.model == "fake"
    assert first.details is not None
    assert first.details.format == "gguf"
    assert official.show(MODEL).capabilities == ["completion"]
    assert official.ps().models[0].model == "fake"
    assert official.pull(MODEL).status == "success"
    assert [each.status for each in official.pull(MODEL, stream=True)] == ["success"]


def test_another_model_is_an_error_with_a_text(official: ollama.Client) -> None:
    for ask in (official.show, official.pull, official.chat, official.generate):
        with pytest.raises(ollama.ResponseError) as missing:
            ask("llama3.2")
        assert missing.value.status_code == 404
        assert "not served here" in missing.value.error


def test_errors_are_texts(client: httpx.Client) -> None:
    for path, content in (("/api/chat", b"{"), ("/api/chat", b"[]"), ("/api/embed", b"{}")):
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 404)
        assert isinstance(answer.json()["error"], str)
    assert isinstance(client.get("/api/chat").json()["error"], str)


def test_what_curl_sends_is_read(client: httpx.Client) -> None:
    """As in docs/api.md: `curl … -d '{…}'`, which names a form's kind."""
    content = json.dumps({"model": MODEL, "prompt": "unsafe", "stream": False})
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/api/generate", content=content, headers=kind)
    assert answer.json()["response"] == UNSAFE
    assert client.post("/v1/guard", content=content, headers=kind).status_code == 415
    foreign = {**kind, "origin": "http://evil.example"}
    assert client.post("/api/generate", content=content, headers=foreign).status_code == 403


def test_the_server_is_there(client: httpx.Client) -> None:
    assert client.head("/").status_code == 200
    found = client.get("/api/version").json()["version"]
    assert [part.isdigit() for part in found.split(".")] == [True] * 3


def test_the_key_is_asked_for() -> None:
    with serving(api_key="secret") as served, served.client() as client:
        for path in ("/api/tags", "/api/version"):
            assert client.get(path).status_code == 401
        headers = {"authorization": "Bearer secret"}
        with ollama.Client(host=served.url, headers=headers, trust_env=False) as official:
            assert official.generate(model=MODEL, prompt="unsafe").response == UNSAFE
