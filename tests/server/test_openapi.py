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
OPERATIONS = [
    (path, method.upper()) for path, found in document()["paths"].items() for method in found
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
