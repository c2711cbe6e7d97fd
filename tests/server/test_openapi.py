"""schemathesis on the OpenAPI document: what it generates is answered as the document says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import MILD, Served, document

from edgeguard import Guard
from edgeguard.server.openapi_fields import FIELDS
from edgeguard.server.settings import MAX_BODY

ROOT = {"components": document()["components"]}
SCHEMA = schemathesis.openapi.from_dict(document())
DESCRIBED_ELSEWHERE = {"Ollama", "Hosts"}
"""Tags of operations whose answers have their full description at their makers'."""
OPERATIONS = [
    (path, method.upper())
    for path, found in document()["paths"].items()
    for method, said in found.items()
    if not DESCRIBED_ELSEWHERE & {*said["tags"]}
]
BEYOND_JSON_SCHEMA = {"invalid_conversation", "invalid_combination", "empty", "model_not_found"}
"""Names, the order of a conversation,
two parameters that exclude each other, parts that are all blank."""


def test_operations_are_told_apart_and_say_what_they_do() -> None:
    found = [each for path in document()["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in found}) == len(found) == 19
    for each in found:
        assert each["summary"]
        assert each["description"]
        (tag,) = each["tags"]
        assert tag in [known["name"] for known in document()["tags"]]
        assert "422" not in each["responses"]


def test_every_path_that_answers_is_described() -> None:
    """But the pages, and the document itself."""
    paths = document()["paths"]
    for path in (
        "/api/chat", "/api/generate", "/api/show", "/api/pull", "/api/tags", "/api/ps",
        "/api/version", "/dify/moderation", "/portkey/guardrail",
        "/beta/litellm_basic_guardrail_api",
    ):  # fmt: skip
        (operation,) = paths[path].values()
        assert ("post" in paths[path]) == ("requestBody" in operation)
        assert {"401", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/chat", {"model": "qwen3guard", "messages": []}, 200),
        ("/api/chat", {"model": "qwen3guard", "raw": True}, 400),
        ("/api/generate", {"model": "gpt-4o"}, 404),
        ("/api/show", {"model": "qwen3guard"}, 200),
        ("/dify/moderation", {"point": "ping"}, 200),
        ("/dify/moderation", {"point": "pong"}, 400),
        ("/portkey/guardrail", {"request": {"text": "Hi"}}, 200),
    ],
)
def test_answers_of_the_hosts_paths(
    served: Served, path: str, body: dict[str, Any], status: int
) -> None:
    operation = document()["paths"][path]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    with served.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == status
    if status == 200:
        jsonschema.validate(body, {**schema, **ROOT})
    else:
        error = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**error, **ROOT})


def test_every_example_of_a_schema_is_one() -> None:
    schemas = document()["components"]["schemas"]
    examples = [(name, each) for name in schemas for each in schemas[name].get("examples", ())]
    assert len(examples) >= 6
    for name, example in examples:
        jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", **ROOT})


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_has_examples_of_what_is_sent_and_answered(path: str, method: str) -> None:
    operation = document()["paths"][path][method.lower()]
    assert f"curl -s http://127.0.0.1:8000{path.partition('{')[0]}" in operation["description"]
    if method == "POST":
        content = operation["requestBody"]["content"]["application/json"]
        jsonschema.validate(content["example"], {**content["schema"], **ROOT})
    for status, response in operation["responses"].items():
        examples = [each for each in response["content"].items() if "example" in each[1]]
        assert examples, status
        for kind, content in examples:
            if kind == "application/json":
                jsonschema.validate(content["example"], {**content["schema"], **ROOT})


def test_the_events_of_a_stream_have_the_form_that_is_said(served: Served) -> None:
    path = document()["paths"]["/v1/guard/stream"]["post"]
    content = path["responses"]["200"]["content"]["text/event-stream"]
    sent = {"prompt": "Tell me a story.", "response": "A calm sentence. " * 9 + "It is unsafe."}
    with served.client() as client:
        real = client.post("/v1/guard/stream", json=sent).text
    for text in (content["example"], real):
        events = re.findall(r"^event: (\w+)\ndata: (.*)$", text, re.MULTILINE)
        assert {name for name, _ in events} == {"prompt", "state", "verdict"}
        for name, data in events:
            event = {"event": name, "data": data}
            (form,) = (
                each["properties"]["data"]["contentSchema"]
                for each in content["schema"]["oneOf"]
                if jsonschema.Draft202012Validator({**each, **ROOT}).is_valid(event)
            )
            jsonschema.validate(json.loads(data), {**form, **ROOT})


def test_the_chunks_of_a_streamed_chat_have_the_form_that_is_said(served: Served) -> None:
    path = document()["paths"]["/v1/chat/completions"]["post"]
    event, _ = path["responses"]["200"]["content"]["text/event-stream"]["schema"]["anyOf"]
    schema = event["properties"]["data"]["contentSchema"]
    options = {"stream": True, "stream_options": {"include_usage": True}, "logprobs": True}
    with served.client() as client:
        text = client.post(
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": MILD}], **options},
        ).text
    *chunks, last = re.findall(r"^data: (.*)$", text, re.MULTILINE)
    assert last == "[DONE]" and len(chunks) > 3
    for chunk in chunks:
        jsonschema.validate(json.loads(chunk), {**schema, **ROOT})


def undescribed(found: object, where: str) -> Iterator[str]:
    """Every property without a description, however deep."""
    if isinstance(found, dict):
        properties = found.get("properties")
        for name, field in properties.items() if isinstance(properties, dict) else ():
            if not field.get("description"):
                yield f"{where}.{name}"
    pairs = (
        found.items()
        if isinstance(found, dict)
        else enumerate(found if isinstance(found, list) else ())
    )
    for name, inner in pairs:
        yield from undescribed(inner, f"{where}.{name}")


def test_every_field_and_parameter_is_described() -> None:
    assert list(undescribed(document()["components"]["schemas"], "schemas")) == []
    for path in document()["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                assert parameter["description"]
    assert list(undescribed({"a": {"properties": {"b": {}}}}, "x")) == ["x.a.b"]


def test_no_description_is_of_a_field_that_is_gone() -> None:
    schemas = document()["components"]["schemas"]
    for name in FIELDS:
        schema, _, field = name.partition(".")
        assert field in schemas[schema]["properties"], name


def settle(body: dict[str, Any]) -> None:
    """What JSON Schema does not know: which policies there are, and what this guard can."""
    for holder in (body, body.get("additional_provider_specific_params") or {}):
        if holder.get("policy") is not None:
            holder["policy"] = "strict"
    body.pop("stop", None)  # one that an answer can hold is refused
    if "category_probabilities" not in (Guard.begin.__kwdefaults__ or {}):
        body.pop("category_probabilities", None)


def answered(served: Served, path: str, method: str, *, valid: bool) -> None:
    mode = schemathesis.GenerationMode("positive" if valid else "negative")
    cases = SCHEMA[path][method].as_strategy(generation_mode=mode)
    most = 50 if path.startswith("/v1/") else 12  # forms that hosts dictate have few rules

    @settings(
        max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        case = data.draw(cases)
        if valid and isinstance(case.body, dict):
            settle(case.body)
        answer = case.call(base_url=served.url)
        if not valid and answer.status_code == 413:  # one more than so many texts is a large body
            assert answer.json()["error"]["code"] == "body_too_large"
            body = answer.request.body
            assert isinstance(body, bytes) and len(body) > MAX_BODY
            return
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])
        if valid and answer.status_code not in (200, 404):
            assert answer.status_code == 400
            error = answer.json()["error"]
            if path.startswith("/api/"):  # Ollama's errors have no code
                assert path in ("/api/chat", "/api/generate"), error
            else:
                assert error["code"] in BEYOND_JSON_SCHEMA, error

    run()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_document_allows(served: Served, path: str, method: str) -> None:
    answered(served, path, method, valid=True)


@pytest.mark.parametrize(("path", "method"), [each for each in OPERATIONS if each[1] == "POST"])
def test_what_the_document_forbids(served: Served, path: str, method: str) -> None:
    answered(served, path, method, valid=False)
