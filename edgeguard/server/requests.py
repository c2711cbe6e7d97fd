"""From the bytes of a request's body to a checked value, or an error that says what is wrong.

JSON is read strictly: UTF-8, no NaN, no name twice in one object (one of the two texts would be
judged and the other not). Shapes are pydantic models without unknown names and without conversion
from one type to another. Errors name the place and never quote what was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from email.message import Message as HeaderMessage
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

from edgeguard.errors import InputError
from edgeguard.protocol import messages as protocol
from edgeguard.server.http_errors import HttpError

B = TypeVar("B", bound=BaseModel)
_DEEPEST = 64
Conversation = tuple[protocol.Message, ...]


class Body(BaseModel):
    """Base of everything that is read from a body.

    Every list stops at its first error: half a million of them would take a gigabyte.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


Text = Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]
"""A text that is judged; `check_not_blank` refuses what the schema's pattern does."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


AsInteger = BeforeValidator(_whole)
"""Makes an integer what JSON Schema calls one: 64.0 too. It stands last in an annotation."""


class TextPart(Body):
    """A part of a message, as OpenAI's clients send them; pictures and sound are not judged."""

    type: Literal["text"]
    text: str


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
    """A message; the fields beside role and content are what clients send back of an answer."""

    role: protocol.Role
    content: Content
    name: str | None = Field(None, description="Accepted; the question has no place for it.")
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: None = None


async def read(request: Request, model: type[B]) -> B:
    """The body of a request. Raises HttpError 400 or 415."""
    _check_content_type(request.headers.get("content-type"))
    value = parse_json(await request.body())
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _shape_error(error, model) from None  # its text may quote the input


def parse_json(body: bytes) -> object:
    """Strict JSON. Raises HttpError 400."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(f"it is not UTF-8 at byte {error.start}") from None
    try:
        value: object = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
    except json.JSONDecodeError as error:
        raise _broken(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _broken("it is nested too deeply") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise _broken("a number in it is too long") from None
    if re.search(r"\\u[dD][89a-fA-F]", text):
        _check_surrogates(value)
    return value


def _check_surrogates(value: object) -> None:
    """JSON can spell half of a character; no text has one, and pydantic lets it pass."""
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), value)]
    while waiting:
        place, found = waiting.pop()
        if len(place) > _DEEPEST:
            raise _broken("it is nested too deeply")
        if isinstance(found, dict):
            waiting.extend(((*place, name), part) for name, part in found.items())
            waiting.extend(((*place, name), name) for name in found)
        elif isinstance(found, list):
            waiting.extend(((*place, number), part) for number, part in enumerate(found))
        elif isinstance(found, str) and re.search(r"[\ud800-\udfff]", found):
            param = _path(place)
            raise HttpError(
                400,
                f"{param or 'the body'}: it is not valid Unicode: a surrogate stands alone in it; "
                "repair the text where it was cut",
                param=param or None,
                code="invalid_unicode",
            )


def conversation(messages: Iterable[ChatMessage], param: str) -> Conversation:
    """The messages as the protocol has them. Raises HttpError 400."""
    plain = [{"role": each.role, "content": text_of(each.content)} for each in messages]
    try:
        parsed = protocol.parse_messages(plain)
    except InputError as error:
        raise HttpError(400, str(error), code="invalid_conversation", param=param) from None
    check_not_blank(parsed[-1].content, param)
    return parsed


def text_of(content: str | list[TextPart]) -> str:
    """The text of a message's content; parts become lines, as vLLM joins them."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def check_not_blank(text: str, param: str) -> None:
    """Refuse a text of nothing: it comes from a client that lost the text, and is not Safe."""
    if not text.strip():
        raise HttpError(
            400, f"{param}: there is nothing to judge, the text is empty", param=param, code="empty"
        )


def _check_content_type(value: str | None) -> None:
    header = HeaderMessage()
    header["content-type"] = value or ""
    kind, charset = header.get_content_type(), header.get_param("charset", "utf-8")
    is_json = value is not None and (
        kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    )
    if not is_json or str(charset).lower() not in ("utf-8", "utf8"):
        raise HttpError(
            415,
            "the body must be JSON in UTF-8: send the header Content-Type: application/json",
            code="unsupported_content_type",
        )


def _broken(why: str) -> HttpError:
    return HttpError(400, f"the body is not JSON: {why}", code="invalid_json")


def _no_constant(_name: str) -> object:
    raise _broken("NaN and Infinity are not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _broken("an object has one name twice")
    return found


def _shape_error(error: ValidationError, model: type[BaseModel]) -> HttpError:
    """The first thing that is wrong with a body's shape."""
    first = error.errors(include_url=False, include_input=False)[0]
    param, kind, place = _path(first["loc"]), first["type"], first["loc"]
    refused: dict[str, str] = getattr(model, "refused", {})
    message = {
        "extra_forbidden": "there is no such field; see /docs",
        "missing": "it is missing",
        "too_short": "it is empty",
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


def _path(place: tuple[int | str, ...]) -> str:
    """`messages[0].content`, without the tags of our unions and without a client's odd names."""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("as "):
            shown = step if re.fullmatch(r"[A-Za-z_]\w{0,39}", step, re.ASCII) else "(unnamed)"
            path += f".{shown}" if path else shown
    return path
