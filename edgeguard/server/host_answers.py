"""The forms of the answers to hosts, as the OpenAPI document describes them.

Like edgeguard.server.answers; the modules named after the hosts write the answers. This module
answers nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from edgeguard.server.answers import Form, Verdict

_SAID = "What was passed over."


class OllamaError(Form):
    """Why a request is not answered as asked, in Ollama's form."""

    error: Annotated[str, Field(description="What is wrong; never quotes the text.")]


class OllamaEnd(Form):
    """What the last line of an answer says, or the only one."""

    model: Annotated[str, Field(description="The one that is loaded, whatever name was given.")]
    created_at: str
    done: bool
    done_reason: Literal["stop", "length", "load"] | None = None
    total_duration: Annotated[int | None, Field(description="Nanoseconds, as all durations.")] = (
        None
    )
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaMessage(Form):
    """The model's own answer, or a part of it."""

    role: Literal["assistant"]
    content: str


class OllamaChat(OllamaEnd):
    """An answer of `/api/chat`."""

    message: OllamaMessage


class OllamaGenerated(OllamaEnd):
    """An answer of `/api/generate`."""

    response: str


class OllamaDetails(Form):
    """How the model is built."""

    parent_model: str
    format: Literal["gguf"]
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaModel(Form):
    """The model under one of its names; its size is not known here."""

    name: str
    model: str
    size: int
    digest: str
    details: OllamaDetails
    modified_at: str | None = None
    expires_at: str | None = None
    size_vram: int | None = None


class OllamaModels(Form):
    """The model under each of its names."""

    models: list[OllamaModel]


class OllamaShown(Form):
    """What is said of the model."""

    modelfile: str
    parameters: str
    template: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaVersion(Form):
    """Whose API this is, and who serves it."""

    version: str
    edgeguard: str


class LiteLLMAnswer(Form):
    """What LiteLLM is to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "action": "BLOCKED",
                    "blocked_reason": "Unsafe: Violent",
                    "edgeguard": [],
                    "not_judged": ["tools"],
                }
            ]
        }
    )
    action: Literal["NONE", "BLOCKED"]
    blocked_reason: str | None = None
    edgeguard: list[Verdict]
    not_judged: Annotated[list[str], Field(description=_SAID)]


class DifyPong(Form):
    """The answer to `ping`."""

    result: Literal["pong"]


class DifyAnswer(Form):
    """What Dify is to do."""

    flagged: bool
    action: Literal["direct_output"]
    preset_response: Annotated[str, Field(description="Said instead of what is flagged.")]


class PortkeyLog(Form):
    """What the gateway's log has of it."""

    verdicts: list[Verdict]
    errors: Annotated[list[str], Field(description="Why something could not be judged.")]
    not_judged: Annotated[list[str], Field(description=_SAID)]


class PortkeyAnswer(Form):
    """What Portkey's gateway is to do."""

    verdict: Annotated[bool, Field(description="Whether it passes.")]
    data: PortkeyLog
