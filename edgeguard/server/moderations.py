"""`POST /v1/moderations`: OpenAI's shape, with the full verdict in an `edgeguard` block.

A key is true if the policy flags the text and a named category fills the key. Its score is
P(Unsafe) + P(Controversial), whatever the policy: divided among the categories if the verdict has
their probabilities, else given to each named one. Keys that no category fills are false and 0, and
have no applied input type. In a list, a text that cannot be judged is flagged, with its error in
the block. A plain text is taken as a user's, unless the request says that it is an answer. This
module makes no verdict; edgeguard.server.categories is the mapping.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from edgeguard.protocol.names import MODES, SAFE, Mode
from edgeguard.server import native
from edgeguard.server.categories import (
    ALL_KEYS,
    ANY_KEY,
    FURTHER,
    KEYS,
    OTHER,
    SOURCED,
    keys_of,
)
from edgeguard.server.http_errors import HttpError
from edgeguard.server.reading import (
    WITH_CALLS,
    Asked,
    Options,
    asked,
    asked_prompt,
    asked_response,
)
from edgeguard.server.requests import Body, ChatMessage, Text, TextPart, plain, text_of
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.verdict import Verdict

MODE_HEADER = "x-edgeguard-mode"


def _tag(value: object) -> str | None:
    """One of the four shapes by its first element; the rest must have the same."""
    if isinstance(value, str):
        return "as text"
    first = value[0] if isinstance(value, list) and value else ""
    if isinstance(first, dict):
        return "as messages" if "role" in first else "as parts"
    return "as texts" if isinstance(value, list) else None


Input = Annotated[
    Annotated[Text, Tag("as text")]
    | Annotated[
        list[Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True), Tag("as texts")
    ]
    | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("as parts")]
    | Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True), Tag("as messages")],
    Discriminator(
        _tag,
        custom_error_type="input",
        custom_error_message=(
            "Input should be a string, an array of strings, an array of text parts, or an array "
            "of messages"
        ),
    ),
]


EXAMPLE: dict[str, object] = {
    "id": "modr-0f8a5a0a1c6c4f4c9b2e3d4a5b6c7d8e",
    "model": "Qwen3Guard-Gen-0.6B",
    "results": [
        {
            "flagged": False,
            "categories": dict.fromkeys(ALL_KEYS, False),
            "category_scores": dict.fromkeys(ALL_KEYS, 0.0),
            "category_applied_input_types": {
                key: ["text"] if key in SOURCED else [] for key in ALL_KEYS
            },
            "edgeguard": native.EXAMPLE,
        }
    ],
}


class ModerationRequest(Body):
    """A text, texts (a result each), text parts (one result), or a conversation (one result)."""

    input: Input
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"input": "What is the capital of France?"},
                {"input": ["What is the capital of France?", "And of Spain?"]},
            ]
        }
    )
    model: str | None = Field(None, description="Any moderation model of OpenAI, or a name here.")
    policy: str | None = Field(
        None, description="strict, loose, or one that the server was started with: see /health."
    )
    mode: Mode | None = Field(
        None, description="What bare texts are: a user's (prompt), or an assistant's (response)."
    )
    prompt: str | None = Field(None, description="With response: what the texts answer.")

    # Accepted without meaning: nothing is kept, nobody is told apart.
    user: str | None = None
    metadata: Any = None
    safety_identifier: str | None = None


def mode_of(body: ModerationRequest, header: str | None, otherwise: Mode) -> Mode:
    """What bare texts are: by the body, else the header, else the path. Raises HttpError 400."""
    if body.mode is not None:
        return body.mode
    if header is None:
        return otherwise
    if header not in MODES:
        raise HttpError(
            400,
            f"the header {MODE_HEADER} must be one of: {', '.join(MODES)}",
            code="invalid_value",
        )
    return header


def texts_of(body: ModerationRequest, options: Options, mode: Mode = "prompt") -> list[Asked]:
    """What is judged, in the order of the results; ``options`` are those of Guard.begin."""
    given = body.input
    if not isinstance(given, str) and isinstance(given[0], ChatMessage):
        return asked(
            plain([m for m in given if isinstance(m, ChatMessage)]), "input", options, WITH_CALLS
        )
    ask = partial(_ask, mode, body.prompt or "", options)
    if isinstance(given, str):
        return ask(given, "input")
    if isinstance(given[0], str):
        places = enumerate(given)
        return [each for place, text in places for each in ask(str(text), f"input[{place}]")]
    parts = [part for part in given if isinstance(part, TextPart)]
    return ask(text_of(parts), "input")


def _ask(mode: Mode, prompt: str, options: Options, text: str, param: str) -> list[Asked]:
    if mode == "prompt":
        return asked_prompt(text, param, options)
    return asked_response(prompt, text, param, options)


def response(model: str, results: list[Verdict | HttpError]) -> dict[str, Any]:
    """The whole answer."""
    return {
        "id": f"modr-{uuid.uuid4().hex}",
        "model": model,
        "results": [
            _not_judged(index, result) if isinstance(result, HttpError) else _result(result)
            for index, result in enumerate(results)
        ],
    }


def in_openai_keys(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer for clients that read the 13 keys alone: what fills none of them fills one."""
    for result in answer["results"]:
        flags, scores = result["categories"], result["category_scores"]
        if result["flagged"] and not any(flags[key] for key in KEYS):
            flags[ANY_KEY] = True
            scores[ANY_KEY] = max(scores[key] for key in FURTHER)
    return answer


def _result(verdict: Verdict) -> dict[str, object]:
    named = {key for name in verdict.categories for key in keys_of(name)}
    if not named and (verdict.flagged or verdict.severity != SAFE):
        named = {OTHER}
    return {
        "flagged": verdict.flagged,
        "categories": {key: verdict.flagged and key in named for key in ALL_KEYS},
        "category_scores": _scores(verdict, named),
        "category_applied_input_types": _types(),
        "edgeguard": verdict.to_dict(),
    }


def _types() -> dict[str, list[str]]:
    return {key: ["text"] if key in SOURCED else [] for key in ALL_KEYS}


def _scores(verdict: Verdict, named: set[str]) -> dict[str, float]:
    """P(harmful), shared out among the categories where their shares are known."""
    harmful = min(1.0, sum(p for name, p in verdict.probabilities.items() if name != SAFE))
    shares = verdict.category_probabilities
    if shares is None or OTHER in named:
        return {key: harmful if key in named else 0.0 for key in ALL_KEYS}
    scores = dict.fromkeys(ALL_KEYS, 0.0)
    for category, share in shares.items():
        for key in keys_of(category):
            scores[key] = min(1.0, scores[key] + harmful * share)
    return scores


def _not_judged(index: int, error: HttpError) -> dict[str, object]:
    """A text of a list without a verdict: flagged, as `other`, and the reason.

    OpenAI's form has no place for an error, and a client looks at `flagged` or at the categories.
    """
    return {
        "flagged": True,
        "categories": {key: key == OTHER for key in ALL_KEYS},
        "category_scores": {key: float(key == OTHER) for key in ALL_KEYS},
        "category_applied_input_types": _types(),
        "edgeguard": {"error": {**error.to_dict(), "index": index}},
    }
