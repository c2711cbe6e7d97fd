"""What the OpenAPI document says of the hosts' own APIs: examples, and a word for each field.

The hosts' documents have the whole story; here stands what a guard makes of it. Fields are named
without their schema, for they mean the same in each. This module answers nothing.
"""

from __future__ import annotations

from typing import Any

from edgeguard.server import native

TEXT = "What is the capital of France?"
SCHEMAS = ("Ollama", "Dify", "Portkey", "Guardrail", "LiteLLM", "Parameters")
"""How the names of the hosts' schemas begin."""

FIELDS = {
    "action": "What the host shall do.",
    "additional_provider_specific_params": "The guardrail's parameters in LiteLLM's configuration.",
    "blocked_reason": "Why the text is blocked; null where it is not.",
    "capabilities": "What the model can do: completion.",
    "content": "The text.",
    "context": "Accepted; nothing is kept between requests.",
    "created_at": "When it was answered.",
    "data": "The verdicts, or the errors.",
    "details": "What is known of the model's file.",
    "digest": "The sha256 of the model's file.",
    "done": "Whether this is the last line.",
    "done_reason": "`length` where `num_predict` cut the answer.",
    "edgeguard": "The verdicts, or the version.",
    "eval_count": "Tokens of the answer.",
    "eval_duration": "0: the answer is read with the question.",
    "eventType": "Whether a request or an answer is judged.",
    "expires_at": "When the model leaves the memory.",
    "families": "The architecture, in a list.",
    "family": "The architecture.",
    "flagged": "What the policy says of the text.",
    "format": "Always `gguf`; of a request, only what asks for nothing else.",
    "images": "Images are not judged: an error, unless the host says to pass over them.",
    "input_type": "Whether the texts are of a request or of an answer.",
    "json": "The request or the answer, in the form of OpenAI's API.",
    "keep_alive": "Accepted; `--idle-unload` says when memory is given back.",
    "litellm_call_id": "The same for a request and its answer; see `--litellm-calls`.",
    "litellm_trace_id": "Accepted, and not read.",
    "litellm_version": "Accepted, and not read.",
    "load_duration": "0: the model is loaded.",
    "message": "The answer, or a part of it.",
    "messages": "The conversation; the last message is judged.",
    "model": "The model's name; any name that the server answers to.",
    "model_info": "What the model's file says of itself.",
    "modelfile": "A comment that says who serves the model.",
    "models": "An entry for each name.",
    "modified_at": "When the server was started.",
    "name": "The model's name.",
    "num_predict": "Cut the answer after so many tokens.",
    "options": "Parameters of sampling; none changes the answer.",
    "parameter_size": "Not known, and empty.",
    "parameters": "None.",
    "params": "What is judged, as Dify sends it.",
    "parent_model": "None.",
    "point": "What Dify asks: `ping`, or to judge an input or an output.",
    "policy": "The policy that decides; else the server's.",
    "prompt": "The text that is judged.",
    "prompt_eval_count": "Tokens of the question.",
    "prompt_eval_duration": "How long they took.",
    "quantization_level": "The quantization type of the model's file.",
    "raw": "Accepted only where it asks for what is done anyway.",
    "request": "What the client asked.",
    "response": "The answer.",
    "result": "`pong`.",
    "role": "Who says it.",
    "size": "Not told: 0.",
    "size_vram": "Not told: 0.",
    "skip_images": "Pass over images, instead of an error.",
    "stop": "Only texts that no answer holds.",
    "stream": "Whether the answer comes in lines, a token each; it does unless this is false.",
    "structured_messages": "The messages of a request, which are judged where they are given.",
    "suffix": "Accepted only where it is empty.",
    "system": "Accepted; the question is the official one.",
    "template": "Accepted; no template is used.",
    "texts": "The texts that are judged.",
    "thinking": "Accepted; it is not judged.",
    "tool_calls": "Judged as text: names and arguments.",
    "tool_name": "Accepted; the question has no place for it.",
    "tools": "Offered to the model, which calls none.",
    "verdicts": "A verdict for each text.",
    "version": "The version of Ollama's API that is spoken.",
}
OTHERS = "Accepted, and changes nothing."

_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "qwen3",
    "families": ["qwen3"],
    "parameter_size": "",
    "quantization_level": "Q4_K_M",
}
_NAME = "Qwen3Guard-Gen-0.6B"
_WHEN = "2026-11-27T10:00:00.000000Z"
_MODEL = {"name": _NAME, "model": _NAME, "size": 0, "digest": "0123…", "details": _DETAILS}
_END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 240000000,
    "load_duration": 0,
    "prompt_eval_count": 307,
    "prompt_eval_duration": 238000000,
    "eval_count": 7,
    "eval_duration": 0,
}
_ANSWER = native.EXAMPLE["answer"]
_MESSAGES = [{"role": "user", "content": TEXT}]
_SHOWN = {
    "modelfile": f"# {_NAME}, served by edgeguard",
    "parameters": "",
    "template": "{{ .Prompt }}",
    "details": _DETAILS,
    "model_info": {"general.architecture": "qwen3", "general.basename": _NAME},
    "capabilities": ["completion"],
    "modified_at": _WHEN,
}

SENT: dict[str, Any] = {
    "ollamaChat": {"model": "nano", "stream": False, "messages": _MESSAGES},
    "ollamaGenerate": {"model": "nano", "stream": False, "prompt": TEXT},
    "ollamaShow": {"model": "nano"},
    "ollamaPull": {"model": "nano"},
    "difyModeration": {
        "point": "app.moderation.input",
        "params": {"app_id": "a", "inputs": {}, "query": TEXT},
    },
    "portkeyGuardrail": {
        "request": {"json": {"messages": _MESSAGES}},
        "response": {"json": None},
        "eventType": "beforeRequestHook",
    },
    "litellmGuardrail": {
        "input_type": "request",
        "texts": [TEXT],
        "structured_messages": _MESSAGES,
    },
}
_JSON = "application/json"
_VERDICTS = {"verdicts": [native.EXAMPLE], "errors": [], "not_judged": []}
ANSWERED: dict[str, tuple[str, Any]] = {
    "ollamaChat": (
        _JSON,
        {
            "model": _NAME,
            "created_at": _WHEN,
            "message": {"role": "assistant", "content": _ANSWER},
            **_END,
        },
    ),
    "ollamaGenerate": (
        _JSON,
        {"model": _NAME, "created_at": _WHEN, "response": _ANSWER, **_END},
    ),
    "ollamaShow": (_JSON, _SHOWN),
    "ollamaPull": ("application/x-ndjson", '{"status": "success"}\n'),
    "ollamaTags": (_JSON, {"models": [{**_MODEL, "modified_at": _WHEN}]}),
    "ollamaPs": (
        _JSON,
        {"models": [{**_MODEL, "expires_at": "9999-12-31T23:59:59Z", "size_vram": 0}]},
    ),
    "ollamaVersion": (_JSON, {"version": "0.13.0", "edgeguard": "0.1.0"}),
    "difyModeration": (
        _JSON,
        {"flagged": False, "action": "direct_output", "preset_response": ""},
    ),
    "portkeyGuardrail": (_JSON, {"verdict": True, "data": _VERDICTS}),
    "litellmGuardrail": (
        _JSON,
        {"action": "NONE", "edgeguard": [native.EXAMPLE], "not_judged": []},
    ),
}
