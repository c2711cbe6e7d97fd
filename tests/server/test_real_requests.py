"""Requests in the forms that real clients write: taken, or refused.

garak's and lm-eval's were read in their packages in November 2026; the others are written down from
what is known of them, and not checked against their sources.

Clients that can be installed without a model have tests of their own beside this one (OpenAI's,
Ollama's) and in tests/adapters (LiteLLM, LangChain, autoevals, openai-guardrails …).
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from served import MILD

GUARD = "qwen3guard"
USER = [{"role": "user", "content": MILD}]
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SAID = {"role": "assistant", "content": "Paris."}

CHATS: dict[str, dict[str, Any]] = {
    "garak 0.17": {
        "temperature": 0.7, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "stop": ["#", ";"], "max_tokens": 150, "n": 1,
    },
    "lm-eval 0.4.13": {
        "max_tokens": 256, "temperature": 0, "stop": ["<|endoftext|>", "Question:"], "seed": 1234,
    },
    "lm-eval, older": {
        "messages": [{**USER[0], "type": "text"}], "stop": ["\n\n"], "temperature": 0,
    },
    "sub2api": {
        "model": "sileader/qwen3guard:0.6b", "temperature": 0, "max_tokens": 64, "seed": 42,
    },
    "zed": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": MILD}]}],
        "max_completion_tokens": 4096, "stop": [], "temperature": 1.0, "tools": [],
        "parallel_tool_calls": False, "prompt_cache_key": "x",
        "stream_options": {"include_usage": True}, "stream": True,
    },
    "cline": {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}},
    "continue": {"max_tokens": 2048, "stream": True, "stop": ["<|im_end|>", "<|endoftext|>"]},
    "dspy over LiteLLM": {"temperature": 0.0, "max_tokens": 4000, "top_logprobs": 0},
    "the AI SDK": {"temperature": 0, "tool_choice": "auto", "tools": [CALL]},
    "vLLM's own form, written whole": {
        "ignore_eos": False, "min_tokens": 0, "stop_token_ids": [], "bad_words": [],
        "allowed_token_ids": None, "thinking_token_budget": None, "vllm_xargs": None,
        "kv_transfer_params": None, "repetition_detection": None, "media_io_kwargs": None,
        "structured_outputs": None, "priority": 0, "echo": False, "prompt_logprobs": None,
        "chat_template_kwargs": {"enable_thinking": False}, "truncate_prompt_tokens": None,
    },
    "SGLang's own form, written whole": {
        "separate_reasoning": True, "no_stop_trim": False, "input_ids": None, "extra_key": None,
        "custom_logit_processor": None, "data_parallel_rank": None, "return_hidden_states": False,
        "regex": None, "ebnf": None, "lora_path": None, "stream_reasoning": True,
    },
    "llama-server's page": {
        "dry_multiplier": 0, "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1,
        "xtc_probability": 0, "samplers": "edkypmxt", "cache_prompt": True, "max_tokens": -1,
        "reasoning_format": "none", "timings_per_token": False, "id_slot": -1,
    },
    "LM Studio": {"ttl": 300, "draft_model": None, "max_tokens": -1, "repeat_penalty": 1.1},
    "OpenRouter": {
        "route": "fallback", "transforms": [], "models": [], "provider": {"order": []},
        "usage": {"include": True}, "reasoning": {"effort": "low"}, "plugins": [],
    },
    "Qwen's cloud": {"enable_thinking": False, "top_k": 20, "thinking_budget": 0},
    "Mistral": {"safe_prompt": False, "random_seed": 7},
    "nothing chosen": dict.fromkeys(
        ("stop", "max_tokens", "tools", "top_k", "user", "n", "seed", "response_format", "metadata")
    ),
    "an answer sent back": {
        "messages": [
            *USER,
            {
                **SAID, "refusal": None, "annotations": [], "audio": None, "tool_calls": None,
                "function_call": None, "reasoning_content": "x", "reasoning_details": [{"a": 1}],
                "thinking_blocks": None, "provider_specific_fields": {}, "id": "1",
                "timestamp": 1.5, "prefix": False,
            },
            {"role": "user", "content": [{"type": "text", "text": MILD, "cache_control": {}}]},
        ]
    },
    "a tool's result": {
        "messages": [
            *USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "Paris", "name": "f"},
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CHATS)
def test_chats(client: httpx.Client, name: str) -> None:
    body = {"model": GUARD, "messages": USER, **CHATS[name]}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert "Safety: Safe" in answer.text or body.get("stream")


def test_a_refusal_that_is_sent_back_is_judged(client: httpx.Client) -> None:
    for text, severity in (("I cannot.", "Safe"), ("An unsafe one.", "Unsafe")):
        said = {"role": "assistant", "content": None, "refusal": text}
        body = {"model": GUARD, "messages": [*USER, said]}
        answer = client.post("/v1/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["content"].startswith(f"Safety: {severity}")


REFUSED: dict[str, dict[str, Any]] = {
    "several answers": {"n": 10},
    "tools that must be called": {"tools": [CALL], "tool_choice": "required"},
    "another form": {"response_format": {"type": "json_object"}},
    "another end": {"stop": ["\n"]},
    "other tokens": {"logit_bias": {"1": -100}},
    "other models": {"models": ["gpt-4o"]},
    "another prompt": {"safe_prompt": True},
    "a field of tomorrow": {"of_tomorrow": 1},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_the_answer(client: httpx.Client, name: str) -> None:
    body = {"model": GUARD, "messages": USER, **REFUSED[name]}
    answer = client.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (
        400,
        answer.json()["error"]["message"].partition(":")[0],
    )


MODERATIONS: dict[str, dict[str, Any]] = {
    "langchain-openai": {"model": "omni-moderation-latest", "input": MILD},
    "Spring AI": {"model": "text-moderation-latest", "input": MILD},
    "LangChain4j": {"model": "text-moderation-latest", "input": [MILD, MILD]},
    "promptfoo": {"model": "omni-moderation-latest", "input": [{"type": "text", "text": MILD}]},
    "LiteLLM": {"model": "openai/text-moderation-latest", "input": [MILD]},
    "LibreChat, n8n": {"input": MILD},
    "an old client": {"model": "text-moderation-007", "input": MILD},
    "a dated model": {"model": "omni-moderation-2024-09-26", "input": MILD},
    "no model": {"model": None, "input": MILD},
    "many": {"input": [MILD] * 600},
}


@pytest.mark.parametrize("name", MODERATIONS)
def test_moderations(client: httpx.Client, name: str) -> None:
    answer = client.post("/v1/moderations", json=MODERATIONS[name])
    assert answer.status_code == 200, answer.text
    given = MODERATIONS[name]["input"]
    wanted = len(given) if isinstance(given, list) and isinstance(given[0], str) else 1
    assert [result["flagged"] for result in answer.json()["results"]] == [False] * wanted


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/v1/moderations", "prompt"),
        ("/response/v1/moderations", "response"),
        ("/response/moderations", "response"),
        ("/openai-keys/v1/moderations", "prompt"),
        ("/response/openai-keys/v1/moderations", "response"),
    ],
)
def test_what_the_base_url_says(client: httpx.Client, path: str, mode: str) -> None:
    (result,) = client.post(path, json={"input": MILD}).json()["results"]
    assert result["edgeguard"]["mode"] == mode


OLLAMA: dict[str, dict[str, Any]] = {
    "Open WebUI": {
        "messages": USER, "stream": True, "options": {"temperature": 0.8}, "keep_alive": "5m",
    },
    "anolisa": {
        "model": "modelscope.cn/ANOLISA/Qwen3Guard-Gen-0.6B-GGUF", "messages": USER,
        "stream": False, "options": {"temperature": 0, "num_predict": 128},
    },
    "continue": {
        "messages": USER, "keep_alive": 1800,
        "options": {"num_ctx": 8192, "stop": ["<|im_end|>"]},
    },
    "LangChain's ChatOllama": {
        "messages": [{"role": "user", "content": MILD, "images": []}], "stream": True,
        "options": {"mirostat": None, "num_gpu": None}, "format": "", "tools": [], "think": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OLLAMA)
def test_chats_of_ollama_s_clients(client: httpx.Client, name: str) -> None:
    answer = client.post("/api/chat", json={"model": GUARD, **OLLAMA[name]})
    assert answer.status_code == 200, answer.text
    assert '"done":true' in answer.text.replace(" ", "")
