"""The OpenAPI document: FastAPI's description of the endpoints, completed.

Requests come from the pydantic models that check them, answers from edgeguard.server.answers, the
verdict from edgeguard/verdict.schema.json, so that nothing is written twice. This module adds to
each operation its errors, its headers and that a key may be required.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from edgeguard.server import answers, openapi_examples
from edgeguard.server.openapi_fields import PARAMETERS, describe

Schema = dict[str, Any]

TITLE = "edgeguard"
DESCRIPTION = """Safety verdicts from Qwen3Guard-Gen on this machine.

Every answer has the header X-Request-Id. Errors have OpenAI's form, and Ollama's under /api; `code`
is for programs, and no error quotes a text. A 503 says in Retry-After when to come back.
"""
TAGS = [
    {"name": "OpenAI", "description": "As OpenAI's clients know them."},
    {"name": "edgeguard", "description": "The whole verdict."},
    {"name": "Ollama", "description": "As Ollama's clients know them."},
    {"name": "Hosts", "description": "What gateways and programs ask of a guard; see docs/hosts."},
    {"name": "Operation", "description": "For who runs the server; none says anything of a text."},
]

_ERRORS = {
    400: "The body is not JSON, has another shape, or cannot be judged.",
    401: "The API key is missing or wrong.",
    403: "Without a key: another host, or a web page of another origin.",
    404: "No such model.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not declared as JSON in UTF-8, or is compressed.",
    500: "The model could not judge this.",
    503: "The model is not ready, or too many requests wait: come back after Retry-After.",
    504: "The request took more seconds of computing than one may have; a retry would as well.",
}
ALL_ERRORS = tuple(_ERRORS)
_HEADERS: Schema = {
    "X-Request-Id": {
        "description": "The request's own, or one made here; it stands in the log.",
        "schema": {"type": "string"},
    }
}
_RETRY: Schema = {
    "Retry-After": {"description": "Seconds until it may be better.", "schema": {"type": "string"}}
}
_COMPONENTS = "#/components/schemas/"


def responses(*errors: int, error: type = answers.Error, **asked: Any) -> dict[int | str, Schema]:
    """The answers of an operation: as asked, or one of these errors."""
    found: dict[int | str, Schema] = {
        200: {"description": "As asked.", "headers": _HEADERS, **asked}
    }
    for status in errors:
        retry = _RETRY if status == 503 else {}
        found[status] = {
            "description": _ERRORS[status],
            "model": error,
            "headers": {**_HEADERS, **retry},
        }
    return found


def may_need_key() -> Schema:
    """What is said of an operation that asks for the key where there is one."""
    return {"security": [{}, {"key": []}]}


def needs_no_key() -> Schema:
    """What is said of an operation that never does."""
    return {"security": []}


def document(app: FastAPI) -> Schema:
    """The document, as JSON has it."""
    found: Schema = get_openapi(
        title=TITLE,
        version=app.version,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=TAGS,
        servers=app.servers or None,
        routes=app.routes,
    )
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)  # FastAPI's own form, which is not ours
            for status, response in operation["responses"].items():
                if status != "200":  # FastAPI has them in the kind of the answer
                    response["content"] = dict(
                        zip(["application/json"], response["content"].values())
                    )
            for parameter in operation.get("parameters", ()):
                parameter["description"] = PARAMETERS[parameter["name"]]
            # Now, for FastAPI leaves out what is null.
            openapi_examples.add(path, method, operation)
    schemas = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_verdict_schemas())
    _, streamed = models_json_schema(
        [(model, "serialization") for model in answers.STREAMED],
        ref_template=f"{_COMPONENTS}{{model}}",
    )
    schemas.update(streamed["$defs"])
    describe(schemas)
    found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return found


def _verdict_schemas() -> Schema:
    """verdict.schema.json and its definitions, as components."""
    text = resources.files("edgeguard").joinpath("verdict.schema.json").read_text("utf-8")
    schema = json.loads(text.replace("#/$defs/", _COMPONENTS))
    defined: Schema = schema.pop("$defs")
    return {**defined, "Verdict": {k: v for k, v in schema.items() if not k.startswith("$")}}
