"""The forms of the answers, as the OpenAPI document describes them.

The answers themselves are written by other modules; tests compare each of them with its form here.
The verdict's form is edgeguard/verdict.schema.json and not repeated here: edgeguard.server.openapi
inserts it. This module answers nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from edgeguard.protocol.names import Severity
from edgeguard.server.categories import ALL_KEYS


def event(data: str, name: str | None = None, *, optional: bool = False) -> dict[str, Any]:
    """The schema of a server-sent event whose data is JSON of a form, or null where optional.

    An event is an object of its fields, as OpenAPI 3.2 has it.
    """
    form: dict[str, Any] = {"$ref": f"#/components/schemas/{data}"}
    if optional:
        form = {"anyOf": [form, {"type": "null"}]}
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": form}
    named = {"event": {"const": name}} if name else {}
    return {"type": "object", "required": [*named, "data"], "properties": {**named, "data": text}}


class Form(BaseModel):
    """Base of all forms: nothing stands in an answer that is not in its form."""

    model_config = ConfigDict(extra="forbid")


class ErrorFields(Form):
    """What every error says."""

    message: Annotated[str, Field(description="What is wrong; never quotes the text.")]
    type: Annotated[
        Literal["invalid_request_error", "server_error"],
        Field(description="Whose fault it is: the request's below 500."),
    ]
    param: Annotated[str | None, Field(description="Where it stands in the body.")]
    code: Annotated[str | None, Field(description="For programs; stays the same.")]


class RequestError(ErrorFields):
    """An error with the request's id."""

    request_id: str


class Error(Form):
    """Why a request is not answered as asked, in OpenAI's form."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "message": "prompt: there is nothing to judge: the text is empty",
                        "type": "invalid_request_error",
                        "param": "prompt",
                        "code": "empty",
                        "request_id": "0f8a5a0a1c6c4f4c9b2e3d4a5b6c7d8e",
                    }
                }
            ]
        }
    )
    error: RequestError


class IndexedError(ErrorFields):
    """An error with the place of its text in the list."""

    index: int


class NotJudged(Form):
    """Stands in a list where a text could not be judged."""

    error: IndexedError


class Verdict(RootModel[dict[str, Any]]):
    """The verdict; edgeguard.server.openapi has its form."""


class Verdicts(Form):
    """A verdict or an error for each input, in their order."""

    verdicts: list[Verdict | NotJudged]


class ModelCard(Form):
    """One name of the model that is served."""

    id: str
    object: Literal["model"]
    created: Annotated[int, Field(description="When the server was started, in Unix seconds.")]
    owned_by: str
    root: Annotated[str, Field(description="The model's own name.")]


class ModelList(Form):
    """All its names."""

    object: Literal["list"]
    data: list[ModelCard]


class Alive(Form):
    """The server answers."""

    status: Literal["ok"]


class Waiting(Form):
    """Requests before the model."""

    waiting: int
    capacity: int
    oldest_wait_seconds: float


class Health(Form):
    """Texts can be judged; ``idle``: the model's memory was given back, the next request loads."""

    status: Literal["ok", "idle"]
    model: str
    type: str
    sha256: str
    policies: Annotated[list[str], Field(description="What a request may name; first the default.")]
    queue: Waiting
    busy_seconds: Annotated[float, Field(description="How long the model has had no pause.")]


class NotReady(Form):
    """No text can be judged."""

    status: Literal["loading", "failed", "stopped"]
    reason: str


class AnswerMessage(Form):
    """The model's own answer."""

    role: Literal["assistant"]
    content: str
    refusal: None


class Alternative(Form):
    """A token that might have come."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Alternative):
    """A token of the answer."""

    top_logprobs: list[Alternative]


class Logprobs(Form):
    """The answer's tokens; where only one may come, its log probability is 0."""

    content: list[TokenLogprob]
    refusal: None


class AnswerChoice(Form):
    """The only choice."""

    index: Literal[0]
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"]


class Usage(Form):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Form):
    """The verdict in the model's own words, as vLLM serves them."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: Usage


class Delta(Form):
    """What a chunk adds to the answer."""

    role: Annotated[Literal["assistant"] | None, Field(description="In the first chunk only.")] = (
        None
    )
    content: Annotated[str | None, Field(description="The next token of the answer.")] = None


class ChunkChoice(Form):
    """The only choice, as far as it goes."""

    index: Annotated[Literal[0], Field(description="Always 0: there is one answer.")]
    delta: Annotated[Delta, Field(description="What is new.")]
    logprobs: Annotated[
        Logprobs | None, Field(description="Of the new token; null unless asked for.")
    ]
    finish_reason: Annotated[
        Literal["stop", "length"] | None, Field(description="In the last chunk of the answer.")
    ]


class ChatChunk(Form):
    """A chunk of a streamed answer; after the last one comes `[DONE]`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class WatchedLabel(Form):
    """What a Qwen3Guard-Stream says of one token of a response."""

    start: Annotated[int, Field(description="The character where the token begins.")]
    end: Annotated[int, Field(description="The character before which it ends.")]
    severity: Annotated[Severity, Field(description="The likeliest severity.")]
    probabilities: Annotated[dict[Severity, float], Field(description="They sum to 1.")]


class WatchedState(Form):
    """How far a response is judged. Places count its characters from 0."""

    flagged: Annotated[bool, Field(description="Harm was found; it stays so.")]
    judged_to: Annotated[int, Field(description="So many characters are judged.")]
    safe_to: Annotated[int, Field(description="So many may be shown; it never goes back.")]
    span: Annotated[
        Annotated[list[int], Field(min_length=2, max_length=2)] | None,
        Field(
            description="Harm begins at the first place at the earliest; at the second it is there."
        ),
    ]
    severity: Annotated[Severity, Field(description="Of the worst that was found.")]
    categories: Annotated[list[str], Field(description="Of the worst that was found.")]
    probabilities: Annotated[
        dict[Severity, float], Field(description="Of the worst that was found; they sum to 1.")
    ]
    reason: Annotated[str, Field(description="Which rule of the policy flagged it; or empty.")]
    windows: Annotated[int, Field(description="In how many parts a long response is read.")]
    labels: Annotated[
        list[WatchedLabel],
        Field(description="With `labels`: of the tokens since the last state; empty with a Gen."),
    ] = []


class StreamError(Form):
    """Why the rest of a response is not judged; nothing behind the last state is."""

    error: Annotated[ErrorFields, Field(description="What is wrong.")]


STREAMED: tuple[type[BaseModel], ...] = (ChatChunk, WatchedState, StreamError)
"""Forms of the events of streams, which no response names for itself."""


def _keys(name: str, kind: Any, doc: str) -> type[BaseModel]:
    """A form with OpenAI's moderation keys and those that it does not have."""
    fields: dict[str, Any] = {
        f"key_{place}": (kind, Field(alias=key)) for place, key in enumerate(ALL_KEYS)
    }
    return create_model(name, __base__=Form, __doc__=doc, **fields)


CategoryFlags = _keys("CategoryFlags", bool, "True where the text is flagged for it.")
CategoryScores = _keys("CategoryScores", float, "The probability that it fits, 0 to 1.")
CategoryInputs = _keys("CategoryInputs", list[str], "`text` where the model knows the category.")


class ModerationResult(Form):
    """One text's moderation."""

    flagged: Annotated[
        bool, Field(description="Also true for a text of a list that could not be judged.")
    ]
    categories: CategoryFlags  # type: ignore[valid-type]
    category_scores: CategoryScores  # type: ignore[valid-type]
    category_applied_input_types: CategoryInputs  # type: ignore[valid-type]
    edgeguard: Verdict | NotJudged


class Moderation(Form):
    """OpenAI's moderation; the whole verdict stands in each result's edgeguard block."""

    id: str
    model: str
    results: list[ModerationResult]
