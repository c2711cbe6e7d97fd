"""schemathesis on the OpenAPI document: what it generates is answered as the document says."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import Served

from edgeguard.server.openapi import document

SCHEMA = schemathesis.openapi.from_dict(document())
OPERATIONS = [
    (path, method.upper()) for path, found in document()["paths"].items() for method in found
]
BEYOND_JSON_SCHEMA = {"invalid_conversation", "invalid_combination", "empty"}
"""The order of a conversation, two parameters that exclude each other, parts that are all blank."""


def answered(served: Served, path: str, method: str, *, valid: bool) -> None:
    mode = schemathesis.GenerationMode("positive" if valid else "negative")
    cases = SCHEMA[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        case = data.draw(cases)
        answer = case.call_and_validate(
            base_url=served.url, excluded_checks=[positive_data_acceptance]
        )
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
