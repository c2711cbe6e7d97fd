"""Ollama's API, as far as a guard needs it: the requests of its clients, and answers in its forms.

It gives the model's own answer to a conversation (`/api/chat`) or to a prompt (`/api/generate`), in
one piece or as lines of JSON, and details of the model as far as they are known. Options that would
change the question or the answer (a template, a format, pictures) are refused. Durations are
nanoseconds. Source: docs/api.md of Ollama.

This module only converts; it has nothing judged.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from edgeguard._version import __version__
from edgeguard.guard import Guard
from edgeguard.server.chat import Most, Stop
from edgeguard.server.logprobs import Answered
from edgeguard.server.parameters import Nothing
from edgeguard.server.reading import WITH_CALLS, Asked, asked
from edgeguard.server.requests import Body, ChatMessage, plain

VERSION = "0.13.0"
"""The version of Ollama whose API this is: clients ask for a least one."""
FAMILY = "qwen3"
LINES = "application/x-ndjson"


class OllamaTurn(ChatMessage):
    """A message, with the fields that Ollama adds."""

    images: Nothing | None = None
    thinking: str | None = None
    tool_name: str | None = None


class OllamaOptions(Body):
    """Parameters of a model; those that have no name here are of sampling or of memory."""

    model_config = ConfigDict(extra="ignore")
    num_predict: Most | Literal[-2] | None = None
    stop: Stop | list[Stop] | None = None


class Common(Body):
    """What both requests may say."""

    model: str
    stream: bool | None = None
    options: OllamaOptions | None = None
    keep_alive: Any = None
    think: Any = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    width: Any = None
    height: Any = None
    steps: Any = None

    refused: ClassVar[dict[str, str]] = {
        "format": "the answer has the model's own form",
        "images": "only text is judged",
        "raw": "the question is the official one, written here",
        "template": "the question is the official one",
        "suffix": "nothing is filled in",
        "context": "send the conversation to /api/chat",
        "logprobs": "/v1/chat/completions has them",
    }
    """Why a value is refused, for the fields below."""
    format: Literal["", None] = None


class OllamaChatRequest(Common):
    """A conversation whose last message is judged; without messages, the model is loaded."""

    messages: list[OllamaTurn] | None = None
    tools: list[Any] | None = None


class OllamaGenerateRequest(Common):
    """A prompt that is judged; without one, the model is loaded."""

    prompt: str | None = None
    system: str | None = None
    raw: Literal[False] | None = None
    template: Literal["", None] = None
    suffix: Literal["", None] = None
    images: Nothing | None = None
    context: Nothing | None = None


_NAMED = {"type": "string", "minLength": 1, "description": "A name."}


class OllamaNameRequest(Body):
    """A model; `name` is what `model` was called before."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": [name],
                    "properties": {
                        name: {"type": "string", "minLength": 1, "description": "A name."}
                    },
                }
                for name in ("model", "name")
            ]
        }
    )
    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
    insecure: bool | None = None
    stream: bool | None = None
    system: Any = None
    template: Any = None
    options: Any = None


def texts_of_chat(body: OllamaChatRequest) -> list[Asked]:
    """The conversation that is judged; none if there is no message."""
    return asked(plain(body.messages), "messages", reading=WITH_CALLS) if body.messages else []


def texts_of_prompt(body: OllamaGenerateRequest) -> list[Asked]:
    """The prompt that is judged; none if there is none."""
    if not body.prompt:
        return []
    user: dict[str, object] = {"role": "user", "content": body.prompt}
    system = [{"role": "system", "content": body.system}] if body.system else []
    return asked([*system, user], "prompt")


@dataclass(frozen=True)
class Form:
    """How the answer is wanted: all that is kept of a request while it waits."""

    stream: bool
    most: int | None
    chat: bool

    @classmethod
    def of(cls, body: Common) -> Form:
        """What a request says of it; a stream, unless it says no."""
        most = body.options.num_predict if body.options else None
        return cls(
            stream=body.stream is not False,
            most=most if most is not None and most > 0 else None,
            chat=isinstance(body, OllamaChatRequest),
        )


class Reply:
    """An answer of `/api/chat` or `/api/generate`."""

    def __init__(self, form: Form, model: str, answered: Answered | None, started: float) -> None:
        """Without ``answered`` it says that the model is loaded."""
        self._form, self._model, self._answered = form, model, answered
        self._tokens = answered.tokens[: form.most] if answered else ()
        self._nanoseconds = int((time.perf_counter() - started) * 1e9)

    def whole(self) -> dict[str, object]:
        """The answer at once."""
        return {**self._piece(b"".join(self._tokens)), **self._end()}

    async def lines(self) -> AsyncIterator[str]:
        """A line for each token, and one that ends the answer."""
        for token in self._tokens:
            yield _line({**self._piece(token), "done": False})
        yield _line({**self._piece(b""), **self._end()})

    def _piece(self, text: bytes) -> dict[str, object]:
        said = text.decode("utf-8")
        head: dict[str, object] = {"model": self._model, "created_at": _now()}
        if self._form.chat:
            return {**head, "message": {"role": "assistant", "content": said}}
        return {**head, "response": said}

    def _end(self) -> dict[str, object]:
        if self._answered is None:
            return {"done": True, "done_reason": "load"}
        verdict = self._answered.verdict
        is_whole = len(self._tokens) == len(self._answered.tokens)
        return {
            "done": True,
            "done_reason": "stop" if is_whole else "length",
            "total_duration": self._nanoseconds,
            "load_duration": 0,
            "prompt_eval_count": verdict.tokens,
            "prompt_eval_duration": int(verdict.seconds * 1e9),
            "eval_count": len(self._tokens),
            "eval_duration": 0,
        }


def tags(guard: Guard, names: tuple[str, ...], since: str) -> dict[str, object]:
    """The model under each of its names."""
    return {"models": [{**card(guard, name), "modified_at": since} for name in names]}


def running(guard: Guard) -> dict[str, object]:
    """The model, if it is in memory."""
    never = "9999-12-31T23:59:59Z"
    return {"models": [{**card(guard, guard.model.name), "expires_at": never, "size_vram": 0}]}


def card(guard: Guard, name: str) -> dict[str, object]:
    """What is said of a model in a list; the size of the file is not known here."""
    return {
        "name": name,
        "model": name,
        "size": 0,
        "digest": guard.model.sha256,
        "details": details(guard),
    }


def details(guard: Guard) -> dict[str, object]:
    """How the model is built."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": "",
        "quantization_level": guard.model.type.upper(),
    }


def shown(guard: Guard, since: str) -> dict[str, object]:
    """What is said of one model."""
    return {
        "modelfile": f"# {guard.model.name}, served by edgeguard {__version__}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(guard),
        "model_info": {"general.architecture": FAMILY, "general.basename": guard.model.name},
        "capabilities": ["completion"],
        "modified_at": since,
    }


def version() -> dict[str, str]:
    """Whose API this is, and who serves it."""
    return {"version": VERSION, "edgeguard": __version__}


def timestamp(seconds: float) -> str:
    """As Ollama writes a time."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def _now() -> str:
    return timestamp(time.time())


def _line(value: dict[str, object]) -> str:
    return json.dumps(value) + "\n"
