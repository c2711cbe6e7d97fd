"""schemathesis on the OpenAPI document: what it generates is answered as the document says."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import Served, document

from edgeguard import Guard
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
    assert len({each["operationId"] for each in found}) == len(found) == 9 + 7 + 3
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


def test_every_example_is_what_it_is_an_example_of() -> None:
    schemas = document()["components"]["schemas"]
    found = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", ()):
            jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", **ROOT})
            found += 1
    for path in document()["paths"].values():
        for operation in path.values():
            for content in operation["responses"]["200"].get("content", {}).values():
                if "example" in content:
                    jsonschema.validate(content["example"], {**content["schema"], **ROOT})
                    found += 1
    assert found >= 9


def settle(body: dict[str, Any]) -> None:
    """What JSON Schema does not know: which policies there are, and what this guard can."""
    if body.get("policy") is not None:
        body["policy"] = "strict"
    body.pop("stop", None)  # one that an answer can hold is refused
    if "category_probabilities" not in (Guard.begin.__kwdefaults__ or {}):
        body.pop("category_probabilities", None)


def answered(served: Served, path: str, method: str, *, valid: bool) -> None:
    mode = schemathesis.GenerationMode("positive" if valid else "negative")
    cases = SCHEMA[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
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
            assert answer.json()["error"]["code"] in BEYOND_JSON_SCHEMA, answer.json()

    run()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_document_allows(served: Served, path: str, method: str) -> None:
    answered(served, path, method, valid=True)


@pytest.mark.parametrize(("path", "method"), [each for each in OPERATIONS if each[1] == "POST"])
def test_what_the_document_forbids(served: Served, path: str, method: str) -> None:
    answered(served, path, method, valid=False)
