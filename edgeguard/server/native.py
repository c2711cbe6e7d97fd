"""`POST /v1/guard`: edgeguard's own verdicts, for one text or for many.

A request is a prompt, a prompt with its response, a conversation, or `inputs`, a list of these. The
answer is the verdict as edgeguard/verdict.schema.json describes it, or `verdicts`, a list in the
order of the inputs. This module makes no verdict.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, RootModel, Tag

from edgeguard.protocol.messages import Message
from edgeguard.server.requests import (
    Body,
    ChatMessage,
    Conversation,
    Text,
    check_not_blank,
    conversation,
)
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.verdict import Verdict


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


def conversations(body: GuardRequest) -> list[Conversation]:
    """What is judged, in the order of the verdicts. Raises HttpError 400."""
    given = body.root
    if isinstance(given, Inputs):
        return [_one(one, f"inputs[{place}].") for place, one in enumerate(given.inputs)]
    return [_one(given, "")]


def response(body: GuardRequest, verdicts: list[Verdict]) -> dict[str, object]:
    """The whole answer."""
    if isinstance(body.root, Inputs):
        return {"verdicts": [verdict.to_dict() for verdict in verdicts]}
    return verdicts[0].to_dict()


def _one(given: Prompt | Response | Messages, place: str) -> Conversation:
    if isinstance(given, Messages):
        return conversation(given.messages, f"{place}messages")
    if isinstance(given, Response):
        check_not_blank(given.response, f"{place}response")
        return (Message("user", given.prompt), Message("assistant", given.response))
    check_not_blank(given.prompt, f"{place}prompt")
    return (Message("user", given.prompt),)
