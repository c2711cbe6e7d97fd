"""`POST /v1/moderations`: OpenAI's shape, with the full verdict in an `edgeguard` block.

A key is true where the policy flags the text and a named category fills the key. Its score is
P(Unsafe) + P(Controversial), whatever the policy: shared out among the categories where the verdict
has their probabilities, else given to each named one. Keys without a source are false and 0, and
have no applied input type. A text of a list that cannot be judged is flagged, with its error in the
block. This module makes no verdict; edgeguard.server.categories is the mapping.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from pydantic import ConfigDict, Discriminator, Field, Tag

from edgeguard.protocol.names import SAFE
from edgeguard.server import native
from edgeguard.server.categories import KEYS, KEYS_OF, SOURCED
from edgeguard.server.http_errors import HttpError
from edgeguard.server.reading import Asked, Options, asked, asked_prompt
from edgeguard.server.requests import Body, ChatMessage, Text, TextPart, plain, text_of
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.verdict import Verdict

MODELS = (
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
)
"""Names that clients of OpenAI send; the local model answers to them here."""


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
            "categories": dict.fromkeys(KEYS, False),
            "category_scores": dict.fromkeys(KEYS, 0.0),
            "category_applied_input_types": {
                key: ["text"] if key in SOURCED else [] for key in KEYS
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
        None, description="One that the server was started with; /health lists them."
    )


def texts_of(body: ModerationRequest, options: Options) -> list[Asked]:
    """What is judged, in the order of the results; ``options`` are those of Guard.begin."""
    given = body.input
    if isinstance(given, str):
        return asked_prompt(given, "input", options)
    if isinstance(given[0], str):
        return [
            each
            for place, text in enumerate(given)
            for each in asked_prompt(str(text), f"input[{place}]", options)
        ]
    if isinstance(given[0], TextPart):
        parts = [part for part in given if isinstance(part, TextPart)]
        return asked_prompt(text_of(parts), "input", options)
    return asked(plain([m for m in given if isinstance(m, ChatMessage)]), "input", options)


def response(model: str, results: list[Verdict | HttpError]) -> dict[str, object]:
    """The whole answer."""
    return {
        "id": f"modr-{uuid.uuid4().hex}",
        "model": model,
        "results": [
            _not_judged(index, result) if isinstance(result, HttpError) else _result(result)
            for index, result in enumerate(results)
        ],
    }


def _result(verdict: Verdict) -> dict[str, object]:
    named = {key for name in verdict.categories for key in KEYS_OF[name]}
    return {
        "flagged": verdict.flagged,
        "categories": {key: verdict.flagged and key in named for key in KEYS},
        "category_scores": _scores(verdict, named),
        "category_applied_input_types": {key: ["text"] if key in SOURCED else [] for key in KEYS},
        "edgeguard": verdict.to_dict(),
    }


def _scores(verdict: Verdict, named: set[str]) -> dict[str, float]:
    """P(harmful), shared out among the categories where their shares are known."""
    harmful = min(1.0, sum(p for name, p in verdict.probabilities.items() if name != SAFE))
    shares = verdict.category_probabilities
    if shares is None:
        return {key: harmful if key in named else 0.0 for key in KEYS}
    scores = dict.fromkeys(KEYS, 0.0)
    for category, share in shares.items():
        for key in KEYS_OF[category]:
            scores[key] = min(1.0, scores[key] + harmful * share)
    return scores


def _not_judged(index: int, error: HttpError) -> dict[str, object]:
    """A text of a list without a verdict: flagged, with no category, and the reason.

    OpenAI's form has no place for an error, and a client looks at `flagged` alone.
    """
    return {
        "flagged": True,
        "categories": dict.fromkeys(KEYS, False),
        "category_scores": dict.fromkeys(KEYS, 0.0),
        "category_applied_input_types": {key: [] for key in KEYS},
        "edgeguard": {"error": {**error.to_dict(), "index": index}},
    }
