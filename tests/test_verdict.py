"""The verdict: immutable, picklable, and as its published schema says."""

from __future__ import annotations

import dataclasses
import json
import pickle
from importlib.resources import files

import jsonschema
import pytest

from edgeguard import Guard, Verdict
from edgeguard.errors import InputError
from edgeguard.policy import LOOSE, STRICT, Evidence, decide
from edgeguard.protocol.names import CATEGORIES, SEVERITIES
from edgeguard.session.fake import FakeSession

SCHEMA = json.loads((files("edgeguard") / "verdict.schema.json").read_text(encoding="utf-8"))


def _verdict(answer: str = "Safety: Controversial\nCategories: PII") -> Verdict:
    return Guard.with_session(FakeSession(lambda _: answer)).check("a")


def test_the_schema_is_valid_and_names_what_the_protocol_names() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert tuple(SCHEMA["$defs"]["category"]["enum"]) == CATEGORIES
    assert tuple(SCHEMA["$defs"]["severity"]["enum"]) == SEVERITIES
    fields = {field.name for field in dataclasses.fields(Verdict)}
    assert set(SCHEMA["properties"]) == fields - {"choices"}
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])


def test_json_follows_the_schema(nano: Guard) -> None:
    for verdict in (_verdict(), nano.check("Hello"), nano.check_response("Hello", "Hi!")):
        jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)
        assert "\n" not in verdict.to_json()


def test_a_verdict_cannot_be_changed() -> None:
    verdict = _verdict()
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.flagged = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        verdict.probabilities["Safe"] = 1.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        verdict.probabilities._shares = ()
    assert hash(verdict) == hash(pickle.loads(pickle.dumps(verdict)))


@pytest.mark.parametrize(
    ("severity", "strict", "loose"),
    [("Safe", False, False), ("Controversial", True, False), ("Unsafe", True, True)],
)
def test_the_policies(severity: str, strict: bool, loose: bool) -> None:
    evidence = Evidence(severity, dict.fromkeys(SEVERITIES, 1 / 3))  # type: ignore[arg-type]
    assert decide(STRICT, [evidence]).flagged is strict
    assert decide(LOOSE, [evidence]).flagged is loose


def test_a_call_may_choose_another_policy_than_the_guard() -> None:
    guard = Guard.with_session(
        FakeSession(lambda _: "Safety: Controversial\nCategories: PII"), policy="loose"
    )
    assert not guard.check("a").flagged
    assert guard.check("a", policy="strict").flagged
    with pytest.raises(InputError, match="there are: strict, loose"):
        guard.check("a", policy="lenient")
