"""`POST /v1/guard`: edgeguard's own verdicts, for one text or for many.

A request is a prompt, a prompt with its response, a conversation, or `inputs`, a list of these. The
answer is the verdict as edgeguard/verdict.schema.json describes it, or `verdicts`, a list in the
order of the inputs; a text that cannot be judged has `{"error": …}` in its place, with its index.
This module makes no verdict.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, RootModel, Tag

from edgeguard.server.http_errors import HttpError
from edgeguard.server.requests import (
    Asked,
    Body,
    ChatMessage,
    Text,
    asked,
    conversation,
    parsed,
    prompt,
)
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.verdict import Verdict
from edgeguard.worker import job


class Prompt(Body):
    """What a user asks of an assistant."""

    prompt: Text


class Response(Body):
    """What an assistant answers to a prompt."""

    prompt: str
    response: Text


class Messages(Body):
    """A conversation; its last message is judged."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True)]


def _tag(value: object) -> str | None:
    if isinstance(value, (Prompt, Response, Messages, Inputs)):
        return f"as {type(value).__name__.lower()}"
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


class Inputs(Body):
    """Several texts; each is judged for itself."""

    inputs: Annotated[list[One], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]


class GuardRequest(
    RootModel[
        Annotated[
            Annotated[Prompt, Tag("as prompt")]
            | Annotated[Response, Tag("as response")]
            | Annotated[Messages, Tag("as messages")]
            | Annotated[Inputs, Tag("as inputs")],
            Discriminator(
                _tag,
                custom_error_type="guard",
                custom_error_message=f"Input should be {_ONE}, or with inputs, a list of these",
            ),
        ]
    ]
):
    """One text, response or conversation, or `inputs` with many of them."""


def texts_of(body: GuardRequest) -> list[Asked]:
    """What is judged, in the order of the verdicts."""
    given = body.root
    if isinstance(given, Inputs):
        return [_asked(one, f"inputs[{place}]") for place, one in enumerate(given.inputs)]
    return [_asked(given, "")]


def is_list(body: GuardRequest) -> bool:
    """Whether `verdicts` are asked for."""
    return isinstance(body.root, Inputs)


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


def _asked(given: Prompt | Response | Messages, place: str) -> Asked:
    name = "messages"
    if isinstance(given, (Prompt, Response)):
        name = "response" if isinstance(given, Response) else "prompt"
    param = f"{place}.{name}" if place else name
    return asked(param, lambda: _conversation(given, param))


def _conversation(given: Prompt | Response | Messages, param: str) -> job.Text:
    if isinstance(given, Messages):
        return conversation(given.messages, param)
    if isinstance(given, Prompt):
        return prompt(given.prompt, param)
    user = {"role": "user", "content": given.prompt}
    return parsed([user, {"role": "assistant", "content": given.response}], param)
