"""docs/reference/http.md: the server's operations, from the OpenAPI document that it serves.

This module starts no server.
"""

from __future__ import annotations

import json
import re
from typing import Any

from edgeguard import Guard
from edgeguard.server.app import make_app
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession
from edgeguard.worker.worker import Worker
from generate.markdown import NOTICE, code, table

Schema = dict[str, Any]

_HEAD = f"""{NOTICE}
# HTTP

What `edgeguard serve` answers. A running server describes itself at `/docs`, where each operation
can be tried, and as OpenAPI at `/openapi.json`; this page is made from the same document.
[The guide](../server.md) says how to run it. What Ollama's clients and other hosts ask is described
as far as a guard answers it; [their pages](../hosts/README.md) say how to set them up.

Every answer has the header `X-Request-Id`. With a key, send `Authorization: Bearer KEY`.
"""


def page() -> str:
    """The page."""
    document = _document()
    parts = [_HEAD]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation, document["components"]["schemas"]))
    parts.append(_errors(document))
    parts += ["\n## Schemas\n"]
    parts += [_schema(name, found) for name, found in document["components"]["schemas"].items()]
    return "".join(parts)


def _document() -> Schema:
    worker = Worker(lambda _: Guard.with_session(FakeSession(lambda _: "")))
    found: Schema = make_app(Settings(), worker).openapi()
    return found


def _operation(path: str, method: str, operation: Schema, schemas: Schema) -> str:
    words, _, line = operation["description"].partition("```bash\n")
    text = f"\n## {method.upper()} {path}\n\n**{operation['summary']}.** {words.strip()}\n"
    command = line.removesuffix("\n```").replace(
        "/v1/models/Qwen3Guard-Gen-0.6B", "/v1/models/nano"
    )
    text += f"\n```console\n$ {command}\n```\n"
    if "requestBody" in operation:
        sent = operation["requestBody"]["content"]["application/json"]["schema"]
        text += f"\nTakes {_type(sent, schemas)}.\n"
    for kind, content in operation["responses"]["200"]["content"].items():
        text += f"\nAnswers `{kind}`{_answered(kind, content['schema'], schemas)}\n"
        if "example" in content:
            text += _example(kind, content["example"])
    return text


def _answered(kind: str, schema: Schema, schemas: Schema) -> str:
    if kind == "text/event-stream":
        events = schema.get("oneOf") or schema.get("anyOf") or ()
        forms = [each["properties"] for each in events if "contentSchema" in str(each)]
        names = [
            code(each["event"]["const"] if "event" in each else "data")
            + f" {_type(each['data']['contentSchema'], schemas)}"
            for each in forms
        ]
        return f": {', '.join(names)}. {schema['description']}"
    if "ndjson" in kind:
        return f". {schema['description']}"
    return "." if "text/plain" in kind else f": {_type(schema, schemas)}."


def _example(kind: str, example: object) -> str:
    if kind == "application/json":
        return f"\n```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```\n"
    return f"\n```text\n{str(example).strip()}\n```\n"


def _errors(document: Schema) -> str:
    found = {
        status: response
        for path in document["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        if status != "200" and str(response["content"]).count("/Error'")
    }
    rows = []
    for status, response in sorted(found.items()):
        example = response["content"]["application/json"]["example"]["error"]
        rows.append((status, response["description"], code(example["code"]), example["message"]))
    head = ("status", "when", "`code`, for one", "`message`, for one")
    form = "[Error](#error)"
    return f"\n## Errors\n\nAll have the form {form}.\n\n{table(head, rows)}"


def _schema(name: str, schema: Schema) -> str:
    words = re.sub("``", "`", schema.get("description", ""))
    text = f"\n### {name}\n\n{' '.join(words.split())}\n"
    if "properties" in schema:
        needed = schema.get("required", ())
        rows = [
            (
                code(field) + ("" if field in needed else " *"),
                _type(found, {}),
                found["description"],
            )
            for field, found in schema["properties"].items()
        ]
        text += "\n" + table(("field", "type", "what it says"), rows)
        if len(needed) < len(rows):
            text += "\n\\* may be left out.\n"
    elif "enum" in schema:
        text += "\nOne of " + ", ".join(code(str(each)) for each in schema["enum"]) + ".\n"
    else:
        text += f"\n{_type(schema, {})}\n"
    return text


def _type(found: Schema, schemas: Schema) -> str:
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("oneOf", "anyOf"):
        if key in found:
            return " or ".join(dict.fromkeys(_type(each, schemas) for each in found[key]))
    if "const" in found:
        return code(json.dumps(found["const"]))
    if "enum" in found:
        return ", ".join(code(json.dumps(each)) for each in found["enum"])
    kind = found.get("type")
    if kind == "array":
        return f"list of {_type(found.get('items', {}), schemas)}"
    if isinstance(kind, list):
        return " or ".join(kind)
    return str(kind or "any")
