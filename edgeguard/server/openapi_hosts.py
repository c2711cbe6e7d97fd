"""Examples and field descriptions for the operations of other programs, for the OpenAPI document.

edgeguard.server.openapi_examples and openapi_fields insert them beside those of the server's own
operations. This module reads no request and answers nothing.
"""

from __future__ import annotations

from typing import Any

from edgeguard._version import __version__
from edgeguard.server import dify, litellm, native, ollama, portkey
from edgeguard.server.host_answers import OllamaChat, OllamaGenerated

_NAME = "Qwen3Guard-Gen-0.6B"
_TEXT = "What is the capital of France?"
_SAID = "Safety: Safe\nCategories: None"
_SINCE = "2025-11-24T16:00:00Z"
_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": ollama.FAMILY,
    "families": [ollama.FAMILY],
    "parameter_size": "",
    "quantization_level": "Q4_K_M",
}
_CARD = {"name": _NAME, "model": _NAME, "size": 0, "digest": "0123…", "details": _DETAILS}
_HEAD = {"model": _NAME, "created_at": _SINCE}
_END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 210000000,
    "load_duration": 0,
    "prompt_eval_count": 307,
    "prompt_eval_duration": 209000000,
    "eval_count": 9,
    "eval_duration": 0,
}

SENT: dict[str, Any] = {
    "ollamaChat": {
        "model": _NAME,
        "stream": False,
        "messages": [{"role": "user", "content": _TEXT}],
    },
    "ollamaGenerate": {"model": _NAME, "stream": False, "prompt": _TEXT},
    "ollamaShow": {"model": _NAME},
    "ollamaPull": {"model": _NAME},
    "litellmGuardrail": litellm.EXAMPLE,
    "difyModeration": dify.EXAMPLE,
    "portkeyGuardrail": portkey.EXAMPLE,
}
_ANSWERED: dict[str, Any] = {
    "ollamaChat": {**_HEAD, "message": {"role": "assistant", "content": _SAID}, **_END},
    "ollamaGenerate": {**_HEAD, "response": _SAID, **_END},
    "ollamaShow": {
        "modelfile": f"# {_NAME}, served by edgeguard {__version__}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {"general.architecture": ollama.FAMILY, "general.basename": _NAME},
        "capabilities": ["completion"],
        "modified_at": _SINCE,
    },
    "ollamaTags": {"models": [{**_CARD, "modified_at": _SINCE}]},
    "ollamaPs": {"models": [{**_CARD, "expires_at": "9999-12-31T23:59:59Z", "size_vram": 0}]},
    "ollamaVersion": {"version": ollama.VERSION, "edgeguard": __version__},
    "litellmGuardrail": {"action": "NONE", "edgeguard": [native.EXAMPLE], "not_judged": []},
    "difyModeration": {"flagged": False, "action": "direct_output", "preset_response": ""},
    "portkeyGuardrail": {
        "verdict": True,
        "data": {"verdicts": [native.EXAMPLE], "errors": [], "not_judged": []},
    },
}
ANSWERED: dict[str, tuple[str, Any]] = {
    **{name: ("application/json", answer) for name, answer in _ANSWERED.items()},
    "ollamaPull": (ollama.LINES, '{"status": "success"}\n'),
}

_OF_ENDS = {
    "created_at": "When it was answered.",
    "done": "Whether this is the last line.",
    "done_reason": "`length` where `num_predict` cut the answer; `load` where nothing was asked.",
    "load_duration": "Always 0: the model is loaded.",
    "prompt_eval_count": "Tokens of the question.",
    "prompt_eval_duration": "How long it was judged.",
    "eval_count": "Tokens of the answer.",
    "eval_duration": "Always 0: the answer is decided with the question.",
}
_OF_REQUESTS = {
    "model": "Any of the model's names, as /api/tags lists them.",
    "stream": "A line for each token, unless it is false.",
    "options": "Parameters of a model; those of sampling mean nothing.",
}
FIELDS: dict[str, str] = {
    **{
        f"{form.__name__}.{name}": text
        for form in (OllamaChat, OllamaGenerated)
        for name, text in _OF_ENDS.items()
    },
    **{
        f"{form.__name__}.{name}": text
        for form in (ollama.OllamaChatRequest, ollama.OllamaGenerateRequest)
        for name, text in _OF_REQUESTS.items()
    },
    "OllamaChat.message": "The answer, or a part of it.",
    "OllamaGenerated.response": "The answer, or a part of it.",
    "OllamaMessage.role": "Always `assistant`.",
    "OllamaMessage.content": "The verdict in the model's own format.",
    "OllamaChatRequest.messages": "The conversation, whose last message is judged.",
    "OllamaGenerateRequest.prompt": "What is judged.",
    "OllamaGenerateRequest.system": "A system text before it.",
    "OllamaOptions.num_predict": "Cut the answer after so many tokens; below 1 is no limit.",
    "OllamaOptions.stop": "Only texts that no answer can hold.",
    "OllamaTurn.images": "Only empty: pictures are not judged.",
    "OllamaTurn.thinking": "Accepted; it is not judged.",
    "OllamaTurn.tool_name": "Accepted; the question has no place for it.",
    "OllamaNameRequest.model": "One of the model's names.",
    "OllamaNameRequest.name": "What `model` was called before.",
    "OllamaDetails.parent_model": "Always empty.",
    "OllamaDetails.format": "Always `gguf`.",
    "OllamaDetails.family": "The architecture.",
    "OllamaDetails.families": "The same, in a list.",
    "OllamaDetails.parameter_size": "Not known here.",
    "OllamaDetails.quantization_level": "The quantization type of its file.",
    "OllamaModel.name": "A name of the model.",
    "OllamaModel.model": "The same name.",
    "OllamaModel.size": "Not known here.",
    "OllamaModel.digest": "The sha256 of its file.",
    "OllamaModel.details": "How the model is built.",
    "OllamaModel.modified_at": "When the server was started.",
    "OllamaModel.expires_at": "When its memory is given back: in the year 9999.",
    "OllamaModel.size_vram": "Not known here.",
    "OllamaModels.models": "One entry for each name.",
    "OllamaShown.modelfile": "Which model it is.",
    "OllamaShown.parameters": "Always empty.",
    "OllamaShown.template": "The question is written by the server.",
    "OllamaShown.details": "How the model is built.",
    "OllamaShown.model_info": "Its architecture and its name.",
    "OllamaShown.capabilities": "Always `completion`.",
    "OllamaShown.modified_at": "When the server was started.",
    "OllamaVersion.version": "The version of Ollama whose API this is.",
    "OllamaVersion.edgeguard": "The version of this server.",
    "GuardrailRequest.input_type": "Whether it is a request or an answer to one.",
    "GuardrailRequest.texts": "The texts of a request, or the answer so far.",
    "GuardrailRequest.structured_messages": "The conversation; only with a request.",
    "GuardrailRequest.images": "Blocked, unless `skip_images` says otherwise.",
    "GuardrailRequest.tool_calls": "Judged as text: names and arguments.",
    "GuardrailRequest.litellm_call_id": "What a request and its answer have in common.",
    "GuardrailRequest.litellm_trace_id": "Not read.",
    "GuardrailRequest.litellm_version": "Not read.",
    "GuardrailRequest.model": "The model that is guarded; not read.",
    "GuardrailRequest.additional_provider_specific_params": "What LiteLLM's configuration says.",
    "Parameters.policy": "One that the server was started with; /health lists them.",
    "Parameters.skip_images": "Pass over pictures, instead of blocking them.",
    "LiteLLMAnswer.action": "Whether it passes.",
    "LiteLLMAnswer.blocked_reason": "Why it does not.",
    "LiteLLMAnswer.edgeguard": "The verdicts.",
    "DifyRequest.point": "What is asked; `ping` tries the address.",
    "DifyRequest.params": "What is judged.",
    "DifyPong.result": "Always `pong`.",
    "DifyAnswer.flagged": "Whether it is withheld.",
    "DifyAnswer.action": "Always `direct_output`: a text of ours is said instead.",
    "PortkeyRequest.request": "The request to the model.",
    "PortkeyRequest.response": "Its answer; empty before there is one.",
    "PortkeyRequest.eventType": "`afterRequestHook` where the answer is asked about.",
    "PortkeySide.json": "The body, as the model's API has it.",
    "PortkeyAnswer.data": "Stands in the gateway's log.",
    "PortkeyLog.verdicts": "The verdicts.",
}
"""As edgeguard.server.openapi_fields has them."""
