"""The OpenAPI document: requests from the models that check them, verdicts from their schema.

Requests come from the pydantic models, the verdict from edgeguard/verdict.schema.json, so that
neither is written twice. What is written here is what belongs to HTTP: paths, statuses, the forms
of OpenAI's answers.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from pydantic.json_schema import models_json_schema

from edgeguard import __version__
from edgeguard.server.categories import KEYS
from edgeguard.server.chat import ChatRequest
from edgeguard.server.moderations import ModerationRequest
from edgeguard.server.native import GuardRequest

Schema = dict[str, Any]

_ERRORS = {
    "400": "The body is not JSON, has another shape, or cannot be judged.",
    "401": "The API key is missing or wrong.",
    "403": "Without a key: another host, or a web page of another origin.",
    "404": "No such model.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON in UTF-8.",
    "500": "The model could not judge this.",
    "503": "The model is not ready, or too many requests wait: come back after Retry-After.",
}


@cache
def document() -> Schema:
    """The document, as JSON has it."""
    requests = (ChatRequest, ModerationRequest, GuardRequest)
    _, defined = models_json_schema(
        [(model, "validation") for model in requests], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edgeguard",
            "version": __version__,
            "description": "Safety verdicts from Qwen3Guard-Gen on this machine.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": {**defined["$defs"], **_verdict_schemas(), **_answers()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> Schema:
    return {
        "/v1/chat/completions": _post(
            "The model's own answer to a conversation, as vLLM serves it",
            "ChatRequest",
            {
                "application/json": {"schema": _ref("ChatCompletion")},
                "text/event-stream": {
                    "schema": {"description": "With stream: a chunk of the answer an event."}
                },
            },
        ),
        "/v1/moderations": _post(
            "OpenAI's moderation, with the full verdict in an edgeguard block",
            "ModerationRequest",
            _json(_ref("Moderation")),
        ),
        "/v1/guard": _post(
            "The verdict on a prompt, a response or a conversation, or on many",
            "GuardRequest",
            _json({"anyOf": [_ref("Verdict"), _ref("Verdicts")]}),
        ),
        "/v1/models": _get("The model that is served", _json(_ref("Models")), "401", "403", "503"),
        "/health": _get(
            "Whether the test verdicts have passed",
            _json(_ref("Health")),
            "403",
            more={"503": {"description": "Not ready.", "content": _json(_ref("Health"))}},
        ),
        "/metrics": _get(
            "Prometheus metrics", {"text/plain": {"schema": {"type": "string"}}}, "401", "403"
        ),
    }


def _post(summary: str, model: str, content: Schema) -> Schema:
    operation = {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(_ref(model))},
        "responses": _responses(content, *_ERRORS),
        "security": [{}, {"key": []}],
    }
    return {"post": operation}


def _get(summary: str, content: Schema, *errors: str, more: Schema | None = None) -> Schema:
    operation = {
        "summary": summary,
        "responses": {**_responses(content, *errors), **(more or {})},
        "security": [{}, {"key": []}] if "401" in errors else [],
    }
    return {"get": operation}


def _responses(content: Schema, *errors: str) -> Schema:
    found: Schema = {"200": {"description": "As asked.", "content": content}}
    for status in errors:
        found[status] = {"description": _ERRORS[status], "content": _json(_ref("Error"))}
        if status == "503":
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
    return found


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _verdict_schemas() -> Schema:
    """verdict.schema.json and its definitions, as components."""
    text = resources.files("edgeguard").joinpath("verdict.schema.json").read_text("utf-8")
    schema = json.loads(text.replace("#/$defs/", "#/components/schemas/"))
    defined: Schema = schema.pop("$defs")
    return {**defined, "Verdict": {k: v for k, v in schema.items() if not k.startswith("$")}}


def _answers() -> Schema:
    whole, text, number = {"type": "integer"}, {"type": "string"}, {"type": "number"}
    return {
        "Verdicts": _object(verdicts=_array(_ref("Verdict"))),
        "Error": _object(
            error=_object(
                message=text,
                type=text,
                param={"type": ["string", "null"]},
                code={"type": ["string", "null"]},
            )
        ),
        "Health": {"type": "object", "required": ["status"], "properties": {"status": text}},
        "Models": _object(
            object={"const": "list"},
            data=_array(
                _object(id=text, object={"const": "model"}, created=whole, owned_by=text, root=text)
            ),
        ),
        "ChatCompletion": _object(
            id=text,
            object={"const": "chat.completion"},
            created=whole,
            model=text,
            choices=_array(
                _object(
                    index={"const": 0},
                    message=_object(
                        role={"const": "assistant"}, content=text, refusal={"type": "null"}
                    ),
                    logprobs={"type": ["object", "null"]},
                    finish_reason={"enum": ["stop", "length"]},
                )
            ),
            usage=_object(prompt_tokens=whole, completion_tokens=whole, total_tokens=whole),
        ),
        "Moderation": _object(
            id=text,
            model=text,
            results=_array(
                _object(
                    flagged={"type": "boolean"},
                    categories=_object(**{key: {"type": "boolean"} for key in KEYS}),
                    category_scores=_object(**dict.fromkeys(KEYS, number)),
                    category_applied_input_types=_object(**{key: _array(text) for key in KEYS}),
                    edgeguard=_ref("Verdict"),
                )
            ),
        ),
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }
