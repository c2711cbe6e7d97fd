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

from edgeguard._version import __version__
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
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON in UTF-8, or is compressed.",
    "500": "The model could not judge this.",
    "503": "The model is not ready, or too many requests wait: come back after Retry-After.",
    "504": "The request took more seconds of computing than one may have; a retry would as well.",
}

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "The request's own, or one made here; it stands in the log.",
        "schema": {"type": "string"},
    }
}


@cache
def document(root_path: str = "") -> Schema:
    """The document, as JSON has it; ``root_path`` is where a proxy shows the server."""
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
        **({"servers": [{"url": root_path}]} if root_path else {}),
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
        "/v1/models/{model}": _get(
            "One name of the model that is served",
            _json(_ref("Model")),
            "401",
            "403",
            "404",
            "503",
            parameters=[
                {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
        ),
        "/health": _get(
            "Readiness: whether texts can be judged, and how busy the model is",
            _json(_ref("Health")),
            "403",
            more={"503": {"description": "Not ready.", "content": _json(_ref("NotReady"))}},
        ),
        "/livez": _get("Liveness: whether the server answers at all", _json(_ref("Alive")), "403"),
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


def _get(
    summary: str,
    content: Schema,
    *errors: str,
    more: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    operation: Schema = {
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {**_responses(content, *errors), **(more or {})},
        "security": [{}, {"key": []}] if "401" in errors else [],
    }
    return {"get": operation}


def _responses(content: Schema, *errors: str) -> Schema:
    asked: Schema = {"description": "As asked.", "content": content, "headers": _HEADERS}
    found: Schema = {"200": asked}
    for status in errors:
        found[status] = {
            "description": _ERRORS[status],
            "content": _json(_ref("Error")),
            "headers": dict(_HEADERS),
        }
        if status == "503":
            found[status]["headers"]["Retry-After"] = {"schema": {"type": "string"}}
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
    return {**_errors(), **_states(), "ChatCompletion": _completion(), **_moderation()}


def _errors() -> Schema:
    error = {
        "message": _TEXT,
        "type": _TEXT,
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "null"]},
    }
    return {
        "Error": _object(error=_object(**error, request_id=_TEXT)),
        "NotJudged": {
            **_object(error=_object(**error, index=_WHOLE)),
            "description": "Stands in a list where a text could not be judged.",
        },
        "Verdicts": _object(verdicts=_array({"anyOf": [_ref("Verdict"), _ref("NotJudged")]})),
    }


def _states() -> Schema:
    model = _object(id=_TEXT, object={"const": "model"}, created=_WHOLE, owned_by=_TEXT, root=_TEXT)
    queue = _object(waiting=_WHOLE, capacity=_WHOLE, oldest_wait_seconds=_NUMBER)
    return {
        "Alive": _object(status={"const": "ok"}),
        "NotReady": _object(status={"enum": ["loading", "failed", "stopped"]}, reason=_TEXT),
        "Health": _object(
            status={"enum": ["ok", "idle"]},
            model=_TEXT,
            type=_TEXT,
            sha256=_TEXT,
            queue=queue,
            busy_seconds=_NUMBER,
        ),
        "Model": model,
        "Models": _object(object={"const": "list"}, data=_array(_ref("Model"))),
    }


def _completion() -> Schema:
    return _object(
        id=_TEXT,
        object={"const": "chat.completion"},
        created=_WHOLE,
        model=_TEXT,
        choices=_array(
            _object(
                index={"const": 0},
                message=_object(
                    role={"const": "assistant"}, content=_TEXT, refusal={"type": "null"}
                ),
                logprobs={"type": ["object", "null"]},
                finish_reason={"enum": ["stop", "length"]},
            )
        ),
        usage=_object(prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE),
    )


def _moderation() -> Schema:
    result = _object(
        flagged={
            "type": "boolean",
            "description": "Also true for a text of a list that could not be judged.",
        },
        categories=_object(**{key: {"type": "boolean"} for key in KEYS}),
        category_scores=_object(**dict.fromkeys(KEYS, _NUMBER)),
        category_applied_input_types=_object(**{key: _array(_TEXT) for key in KEYS}),
        edgeguard={"anyOf": [_ref("Verdict"), _ref("NotJudged")]},
    )
    return {"Moderation": _object(id=_TEXT, model=_TEXT, results=_array(result))}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }
