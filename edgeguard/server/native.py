"""`POST /v1/guard`: edgeguard's own verdicts, for one text or for many.

A request is a prompt, a prompt with its response, a conversation, or `inputs`, a list of these. The
answer is the verdict as edgeguard/verdict.schema.json describes it, or `verdicts`, a list in the
order of the inputs; in place of a text that cannot be judged it has `{"error": …}` with its index.
The messages of a conversation are passed to the guard unchanged, which reads every public form of
them. This module makes no verdict.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, RootModel, Tag

from edgeguard.server import reading
from edgeguard.server.http_errors import HttpError
from edgeguard.server.reading import Asked, Reading, asked, asked_prompt
from edgeguard.server.requests import Body, Text
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.verdict import ModelId, Probabilities, Verdict

_USER: Any = {"role": "user", "content": "What is the capital of France?"}
EXAMPLE: dict[str, Any] = Verdict(
    mode="prompt",
    severity="Safe",
    probabilities=Probabilities((0.98, 0.005, 0.015)),
    categories=(),
    refusal=None,
    policy="strict",
    flagged=False,
    answer="Safety: Safe\nCategories: None",
    model=ModelId("Qwen3Guard-Gen-0.6B", "q4_k_m", "0123…"),
    device="cpu",
    tokens=307,
    windows=1,
    seconds=0.21,
).to_dict()


class Options(Body):
    """What a request may say beside its texts."""

    policy: Annotated[
        str | None,
        Field(description="strict, loose, or one that the server was started with: see /health."),
    ] = None
    category_probabilities: Annotated[
        bool | None, Field(description="Have the probability of each category in the verdict.")
    ] = None


class HowRead(Options):
    """How messages are read."""

    strict_messages: Annotated[
        bool | None, Field(description="Refuse what the official template has no place for.")
    ] = None
    tool_calls: Annotated[
        bool | None, Field(description="Judge the calls of tools too, as text.")
    ] = None
    skip_media: Annotated[
        bool | None, Field(description="Pass over pictures, sounds and files, instead of an error.")
    ] = None


class Prompt(Body):
    """What a user asks of an assistant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": _USER["content"]}]})
    prompt: Text


class Response(Body):
    """What an assistant answers to a prompt."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": _USER["content"], "response": "It is Paris."}],
        }
    )
    prompt: str
    response: Text


class Messages(Body):
    """A conversation in any of the forms that the guard reads; its last message is judged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [_USER]},
                {"messages": [_USER, {"role": "assistant", "content": "It is Paris."}]},
            ]
        }
    )
    messages: Annotated[
        list[dict[str, Any]],
        Field(
            min_length=1,
            fail_fast=True,
            description="As OpenAI's clients send them: `role` and `content`, a text or its parts.",
        ),
    ]


def _tag(value: object) -> str | None:
    if isinstance(value, Body):
        return f"as {type(value).__name__.removesuffix('Request').lower()}"
    names = value.keys() if isinstance(value, dict) else ()
    return next(
        (f"as {name}" for name in ("inputs", "messages", "response", "prompt") if name in names),
        None,
    )


_ONE = "an object with prompt, with prompt and response, or with messages"
One = Annotated[
    Annotated[Prompt, Tag("as prompt")]
    | Annotated[Response, Tag("as response")]
    | Annotated[Messages, Tag("as messages")],
    Discriminator(_tag, custom_error_type="one", custom_error_message=f"Input should be {_ONE}"),
]


class PromptRequest(Prompt, Options):
    """A prompt, and how it is judged."""


class ResponseRequest(Response, Options):
    """A response, and how it is judged."""


class MessagesRequest(Messages, HowRead):
    """A conversation, and how it is judged."""

    judge: Annotated[
        Literal["last", "exchange", "each"] | None,
        Field(
            description="Which messages are judged: the last one; those from the user's last "
            "message on; or each. All but `last` are answered with `verdicts`."
        ),
    ] = None


class InputsRequest(HowRead):
    """Several texts; each is judged for itself."""

    inputs: Annotated[list[One], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]


class GuardRequest(
    RootModel[
        Annotated[
            Annotated[PromptRequest, Tag("as prompt")]
            | Annotated[ResponseRequest, Tag("as response")]
            | Annotated[MessagesRequest, Tag("as messages")]
            | Annotated[InputsRequest, Tag("as inputs")],
            Discriminator(
                _tag,
                custom_error_type="guard",
                custom_error_message=f"Input should be {_ONE}, or with inputs, a list of these",
            ),
        ]
    ]
):
    """One text, response or conversation, or `inputs` with many of them."""


def texts_of(body: GuardRequest, options: reading.Options) -> list[Asked]:
    """What is judged, in the order of the verdicts; ``options`` are those of Guard.begin."""
    given = body.root
    if not isinstance(given, InputsRequest):
        return _asked(given, "", options, _reading(given))
    how = _reading(given)
    return [
        each
        for place, one in enumerate(given.inputs)
        for each in _asked(one, f"inputs[{place}].", options, how)
    ]


def is_list(body: GuardRequest) -> bool:
    """Whether `verdicts` are asked for."""
    given = body.root
    if isinstance(given, MessagesRequest):
        return given.judge not in (None, "last")
    return isinstance(given, InputsRequest)


def response(results: list[Verdict | HttpError]) -> dict[str, object]:
    """The answer to a list: each text its verdict, or its error."""
    return {
        "verdicts": [
            {"error": {**result.to_dict(), "index": index}}
            if isinstance(result, HttpError)
            else result.to_dict()
            for index, result in enumerate(results)
        ]
    }


def _asked(
    given: Prompt | Response | Messages, place: str, options: reading.Options, how: Reading
) -> list[Asked]:
    if isinstance(given, Messages):
        return asked(given.messages, f"{place}messages", options, how)
    if isinstance(given, Prompt):
        return asked_prompt(given.prompt, f"{place}prompt", options)
    user = {"role": "user", "content": given.prompt}
    answer = {"role": "assistant", "content": given.response}
    return asked([user, answer], f"{place}response", options)


def _reading(given: Options) -> Reading:
    if not isinstance(given, HowRead):
        return reading.PLAIN
    return Reading(
        bool(given.strict_messages),
        bool(given.tool_calls),
        bool(given.skip_media),
        (given.judge if isinstance(given, MessagesRequest) else None) or "last",
    )
