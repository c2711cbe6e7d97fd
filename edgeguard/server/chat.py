"""`POST /v1/chat/completions`: the model's own answer to a conversation, as vLLM serves it.

The answer is the verdict in the model's own format. It is complete before the first byte is sent,
also with `stream`, so an error is always an HTTP status. Sampling parameters are accepted and have
no effect, since the answer is decoded in a closed language. Parameters that would change the
answer's meaning are refused. `max_tokens` cuts the answer at a token, as everywhere, with
finish_reason `length`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from edgeguard.server import answers
from edgeguard.server.http_errors import HttpError
from edgeguard.server.logprobs import Answered, content
from edgeguard.server.parameters import OfOtherServers
from edgeguard.server.reading import WITH_CALLS, Asked, asked
from edgeguard.server.requests import AsInteger, Body, ChatMessage, plain
from edgeguard.server.stops import can_stand

TOP_LOGPROBS = 20

STREAM: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "description": "With `stream`: a chunk an event; the data of the last is `[DONE]`.",
            "anyOf": [
                answers.event("ChatChunk"),
                {"type": "object", "properties": {"data": {"const": "[DONE]"}}},
            ],
        }
    }
}
EXAMPLE: dict[str, Any] = {
    "id": "chatcmpl-0f8a5a0a1c6c4f4c9b2e3d4a5b6c7d8e",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "Qwen3Guard-Gen-0.6B",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Safety: Safe\nCategories: None",
                "refusal": None,
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 307, "completion_tokens": 7, "total_tokens": 314},
}

Most = Literal[-1] | Annotated[int, Field(ge=1), AsInteger]
"""Tokens of the answer; -1 is no limit, as llama-server and LM Studio have it."""


def _never_stands(stop: str) -> str:
    if can_stand(stop):
        raise ValueError("it can stand in an answer")
    return stop


Stop = Annotated[str, AfterValidator(_never_stands)]


class StreamOptions(Body):
    """What a stream ends with."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: Literal[False] | None = None


class TextFormat(Body):
    """The only form of an answer: the model's own text."""

    type: Literal["text"]


class TemplateArguments(Body):
    """What vLLM passes to a template; the model of this server does not think, asked or not."""

    enable_thinking: bool | None = None


class ChatRequest(OfOtherServers):
    """A conversation whose last message is judged, with the parameters that clients send."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
            ]
        }
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True)]
    model: str | None = Field(None, description="A name from /v1/models.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=TOP_LOGPROBS), AsInteger] | None = None
    max_tokens: Most | None = None
    max_completion_tokens: Most | None = None

    # Accepted without meaning: the answer is not sampled, nothing is kept, nobody is told apart.
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, AsInteger] | None = None
    min_p: float | None = None
    seed: Annotated[int, AsInteger] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    add_generation_prompt: Literal[True] | None = None
    chat_template_kwargs: TemplateArguments | None = None

    refused: ClassVar[dict[str, str]] = {
        "n": "there is one answer",
        "store": "nothing is kept",
        "stop": "an answer is not cut at a text that it can hold",
        "tool_choice": "the model calls no tools",
        "function_call": "the model calls no functions",
        "response_format": "the answer has the model's own form",
        "logit_bias": "the answer is decided in a closed language",
        **dict.fromkeys(("modalities", "audio"), "the answer is text"),
        "prediction": "the answer is not predicted",
        "web_search_options": "nothing is searched",
        "echo": "the answer stands alone",
        "add_generation_prompt": "the question is the official one",
        "chat_template_kwargs": "the question is the official one",
    }
    """Why a value is refused, for the fields below."""

    # Accepted only where they ask for what is done anyway.
    n: Annotated[int, Field(ge=1, le=1), AsInteger] | None = None
    store: Literal[False] | None = None
    stop: Stop | list[Stop] | None = None
    tools: list[Any] | None = Field(None, description="Offered to the model, which calls none.")
    tool_choice: Literal["none", "auto"] | None = None
    functions: list[Any] | None = None
    function_call: Literal["none", "auto"] | None = None
    response_format: TextFormat | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    modalities: Annotated[list[Literal["text"]], Field(fail_fast=True)] | None = None
    echo: Literal[False] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None


def check(body: ChatRequest) -> None:
    """Parameters that contradict each other. Raises HttpError 400."""
    if body.top_logprobs and not body.logprobs:
        raise HttpError(
            400,
            "top_logprobs: logprobs must be true with it",
            param="top_logprobs",
            code="invalid_combination",
        )
    if body.stream_options is not None and not body.stream:
        raise HttpError(
            400,
            "stream_options: stream must be true with it",
            param="stream_options",
            code="invalid_combination",
        )


def texts_of(body: ChatRequest) -> list[Asked]:
    """The conversation that is judged."""
    return asked(plain(body.messages), "messages", reading=WITH_CALLS)


@dataclass(frozen=True)
class Form:
    """How the answer is wanted: all that is kept of a request while it waits."""

    stream: bool
    with_usage: bool
    top: int | None
    most: int | None

    @classmethod
    def of(cls, body: ChatRequest) -> Form:
        """What a request says of it."""
        given = (body.max_tokens, body.max_completion_tokens)
        limits = [limit for limit in given if limit is not None and limit > 0]
        return cls(
            stream=bool(body.stream),
            with_usage=bool(body.stream_options and body.stream_options.include_usage),
            top=(body.top_logprobs or 0) if body.logprobs else None,
            most=min(limits, default=None),
        )


class Completion:
    """An answer in the forms of chat.completion and chat.completion.chunk."""

    def __init__(self, form: Form, answered: Answered) -> None:
        self._tokens = answered.tokens[: form.most]
        self._finish = "stop" if len(self._tokens) == len(answered.tokens) else "length"
        self._top = form.top
        self._answered = answered
        self._with_usage = form.with_usage
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answered.verdict.model.name,
        }

    def whole(self) -> dict[str, object]:
        """The answer at once."""
        text = b"".join(self._tokens).decode("utf-8")
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": self._logprobs(0, len(self._tokens)),
            "finish_reason": self._finish,
        }
        return {**self._head, "choices": [choice], "usage": self._usage()}

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events: the role, each token, why it ends, the usage if asked, [DONE]."""
        yield self._event({"role": "assistant", "content": ""})
        for place, token in enumerate(self._tokens):
            yield self._event({"content": token.decode("utf-8")}, self._logprobs(place, place + 1))
        yield self._event({}, finish=self._finish)
        if self._with_usage:
            yield self._chunk([], self._usage())
        yield "data: [DONE]\n\n"

    def _event(
        self, delta: dict[str, str], logprobs: object = None, finish: str | None = None
    ) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._chunk([choice], None)

    def _chunk(self, choices: list[dict[str, object]], usage: dict[str, int] | None) -> str:
        chunk: dict[str, object] = {**self._head, "object": "chat.completion.chunk"}
        chunk["choices"] = choices
        if self._with_usage:
            chunk["usage"] = usage
        return f"data: {json.dumps(chunk)}\n\n"

    def _usage(self) -> dict[str, int]:
        read, written = self._answered.verdict.tokens, len(self._tokens)
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }

    def _logprobs(self, first: int, after: int) -> dict[str, object] | None:
        if self._top is None:
            return None
        return {"content": content(self._answered, self._top)[first:after], "refusal": None}
