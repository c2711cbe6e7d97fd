"""Names of the model in requests: those in use, found in public code in November 2026."""

from __future__ import annotations

import httpx
import pytest
from served import MILD, serving

from edgeguard.server.names import Names, is_guard, is_moderation

IN_USE = (
    "Qwen/Qwen3Guard-Gen-0.6B",
    "Qwen3Guard-Gen-0.6B",
    "sileader/qwen3guard:0.6b",
    "sileader/qwen3guard",
    "qwen3guard",
    "qwen3guard:0.6b",
    "qwen3guard:latest",
    "qwen3guard-gen-0.6b",
    "qwen3guard-gen-0.6b@q8_0",
    "qwen3-guard-0.6b",
    "Qwen/Qwen3-Guard-0.6B",
    "chutes/Qwen/Qwen3Guard",
    "hf.co/QuantFactory/Qwen3Guard-Gen-0.6B-GGUF:Q4_K_M",
    "hf.co/mradermacher/Qwen3Guard-Gen-0.6B-GGUF:Q4_K_M",
    "modelscope.cn/ANOLISA/Qwen3Guard-Gen-0.6B-GGUF",
    "modelscope.cn/ANOLISA/Qwen3Guard-Gen-0.6B-GGUF:latest",
    "QuantFactory/Qwen3Guard-Gen-0.6B-GGUF",
    "Qwen3Guard-Gen-0.6B.Q8_0.gguf",
    "Qwen3Guard-Gen-0.6B-GGUF/Q4_K_M",
    "/data0/models/Qwen3Guard-Gen-0.6B",
    "openai/Qwen3Guard-Gen-0.6B",
    "openrouter/qwen/qwen3guard-gen-0.6b",
    "ollama/sileader/qwen3guard:0.6b",
    "hosted_vllm/Qwen/Qwen3Guard-Gen-0.6B",
    "qwen3guard_gen_0_6b",
    "Qwen3Guard-Gen-0.6B-Q4_K_M",
    "Qwen3Guard-Gen-0.6B-FP8",
)
ANOTHER = (
    "Qwen/Qwen3Guard-Gen-4B",
    "Qwen/Qwen3Guard-Gen-8B",
    "sileader/qwen3guard:4b",
    "sileader/qwen3guard:8b",
    "hf.co/QuantFactory/Qwen3Guard-Gen-8B-GGUF:Q4_K_M",
    "QuantFactory/Qwen3Guard-Gen-1.5B-GGUF",
    "qwen3-guard-8b",
    "qwen3guard-gen-8b",
    "Qwen/Qwen3Guard-Stream-0.6B",
    "Qwen/Qwen3GuardTest",
    "Qwen/Qwen3-0.6B",
    "qwen3:0.6b",
    "qwen3-guarded-mlp",
    "meta-llama/Llama-Guard-3-1B",
    "llama-guard3:1b",
    "shieldgemma:2b",
    "gpt-4o",
    "",
)


@pytest.mark.parametrize("name", IN_USE)
def test_a_name_in_use_is_the_model(name: str) -> None:
    for written in (name, name.upper(), f" {name}"):
        assert is_guard(written)
    assert is_guard(name, "8") is ("6" not in name)


@pytest.mark.parametrize("name", ANOTHER)
def test_another_model_is_not(name: str) -> None:
    assert not is_guard(name)
    assert not is_moderation(name)


def test_the_size_is_that_of_the_loaded_model() -> None:
    names = Names()
    assert names.serve("Qwen/Qwen3Guard-Gen-4B", "gen-4b")
    assert not names.serve("Qwen/Qwen3Guard-Gen-0.6B", "gen-4b")
    assert not names.serve("sileader/qwen3guard:0.6b", "gen-4b")
    assert names.serve("sileader/qwen3guard", "gen-4b")
    assert names.serve("qwen3guard:0.6b", "nano")


def test_all_tongues_take_the_same_names() -> None:
    with serving(aliases=("moderation", "my/guard")) as served, served.client() as client:
        for name in (*IN_USE, "moderation", "my/guard", "my/guard:latest", "fake"):
            for answer in answers(client, name):
                assert answer.status_code == 200, answer.text
                assert answer.json()["model"] == "fake"
            assert client.post("/api/show", json={"model": name}).status_code == 200
            assert client.get(f"/v1/models/{name}").status_code == 200
        for name in (*ANOTHER[:3], "gpt-4o", "moderation:8b"):
            statuses = [answer.status_code for answer in answers(client, name)]
            assert statuses == [404, 404, 400]
            assert client.post("/api/show", json={"model": name}).status_code == 404
        listed = [card["id"] for card in client.get("/v1/models").json()["data"]]
        assert listed[0] == "fake"
        assert {"moderation", "my/guard"} <= set(listed)
        assert [each["name"] for each in client.get("/api/tags").json()["models"]] == listed


def test_any_model_is_answered_if_wanted() -> None:
    with serving(any_model=True) as served, served.client() as client:
        for answer in answers(client, "gpt-4o"):
            assert answer.status_code == 200
            assert answer.json()["model"] == "fake"


def answers(client: httpx.Client, model: str) -> list[httpx.Response]:
    messages = [{"role": "user", "content": MILD}]
    asked = {"model": model, "messages": messages, "stream": False}
    return [
        client.post("/v1/chat/completions", json=asked),
        client.post("/api/chat", json=asked),
        client.post("/v1/moderations", json={"model": model, "input": MILD}),
    ]
