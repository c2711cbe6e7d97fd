"""From the bytes of a request's body to a checked value, or an error that says what is wrong.

The forms are pydantic models that refuse unknown names and convert no types. Errors name the
position, and never quote the input or one of our classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from starlette.requests import Request

from edgeguard.server.http_errors import HttpError
from edgeguard.server.json_body import parse, path_of

B = TypeVar("B", bound=BaseModel)


class Body(BaseModel):
    """Base of everything that is read from a body.

    Every list stops at its first error: half a million of them would take a gigabyte.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


Text = Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]
"""A text that is judged; edgeguard.protocol.visible refuses more than the schema's pattern does."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


AsInteger = BeforeValidator(_whole)
"""Makes an integer what JSON Schema calls one: 64.0 too. It stands last in an annotation."""


class TextPart(Body):
    """A part of a message, as OpenAI's clients send them; pictures and sound are not judged."""

    type: Literal["text"]
    text: str
    cache_control: Any = Field(None, description="Accepted; of what is judged nothing is kept.")


def _content_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "as text"
    return "as parts" if isinstance(value, list) else None


Content = Annotated[
    Annotated[str, Tag("as text")]
    | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("as parts")],
    Discriminator(
        _content_tag,
        custom_error_type="content",
        custom_error_message="Input should be a string or an array of text parts",
    ),
]


class ChatMessage(Body):
    """A message; what becomes of each role and of calls is the table in docs/conversations.md.

    The fields beside those are what clients send back of an answer.
    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    name: str | None = Field(None, description="Accepted; the question has no place for it.")
    type: Literal["text", "message"] | None = Field(None, description="Accepted; it says nothing.")
    refusal: str | None = Field(None, description="Judged as what the assistant said.")
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    tool_calls: Annotated[
        list[dict[str, Any]] | None, Field(description="Judged as text: names and arguments.")
    ] = None
    tool_call_id: str | None = None
    function_call: dict[str, Any] | None = None
    reasoning_content: str | None = Field(None, description="Accepted; it is not judged.")
    reasoning: str | None = Field(None, description="Accepted; it is not judged.")
    reasoning_details: Any = Field(None, description="Accepted; it is not judged.")
    thinking_blocks: Any = Field(None, description="Accepted; it is not judged.")
    prefix: Literal[False] | None = None

    # What hosts keep with a message, and send back.
    id: Any = None
    timestamp: Any = None
    created_at: Any = None
    index: Any = None
    metadata: Any = None
    cache_control: Any = None
    provider_specific_fields: Any = None


async def read(request: Request, model: type[B]) -> B:
    """The body of a request, which is not kept. Raises HttpError 400."""
    return validated(parse(bytes((await request.receive())["body"])), model)


def validated(value: object, model: type[B]) -> B:
    """A value as what it must be. Raises HttpError 400."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _shape_error(error, model) from None  # its text may quote the input


def plain(messages: Iterable[ChatMessage]) -> list[dict[str, object]]:
    """Messages with nothing but what is read of them: role, text and calls."""
    return [
        {
            "role": each.role,
            "content": None if each.content is None else text_of(each.content),
            **({"tool_calls": each.tool_calls} if each.tool_calls else {}),
            **({"function_call": each.function_call} if each.function_call else {}),
            **({"refusal": each.refusal} if each.refusal else {}),
        }
        for each in messages
    ]


def text_of(content: str | list[TextPart]) -> str:
    """The text of a message's content; parts become lines, as vLLM joins them."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _shape_error(error: ValidationError, model: type[BaseModel]) -> HttpError:
    """The first thing that is wrong with a body's shape."""
    first = error.errors(include_url=False, include_input=False)[0]
    param, kind, place = path_of(first["loc"]), first["type"], first["loc"]
    refused: dict[str, str] = getattr(model, "refused", {})
    message = {
        "extra_forbidden": "there is no such field; see /docs",
        "missing": "it is missing",
        "too_short": "it is empty",
        "model_type": "it is not an object",
        "model_attributes_type": "it is not an object",
    }.get(kind, first["msg"])
    if place and place[0] in refused:
        message = f"this value is not supported: {refused[str(place[0])]}"
    elif kind == "too_long":
        message = f"at most {first['ctx']['max_length']} are taken at once"
    elif kind == "literal_error" and place[-1] == "type":
        message = "only text is judged, so the type must be 'text'"
    code = {"extra_forbidden": "unknown_parameter", "missing": "missing_required_parameter"}
    return HttpError(
        400,
        f"{param or 'the body'}: {message}",
        param=param or None,
        code=code.get(kind, "invalid_value"),
    )
