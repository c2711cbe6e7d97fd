"""LiteLLM's guardrail: what its proxy sends, as recorded from version 1.108.7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import MILD, serving

from edgeguard.server import litellm
from edgeguard.server.litellm import PATH, Calls

REQUEST: dict[str, Any] = {
    "input_type": "request",
    "litellm_call_id": "call-1",
    "litellm_trace_id": "trace-1",
    "structured_messages": [{"role": "user", "content": MILD}],
    "images": None,
    "tools": None,
    "texts": [MILD],
    "request_data": {"user_api_key_hash": "x"},
    "request_headers": {"host": "[present]"},
    "litellm_version": "1.108.7",
    "additional_provider_specific_params": {},
    "tool_calls": None,
    "model": "fake-model",
}
RESPONSE: dict[str, Any] = {
    **REQUEST,
    "input_type": "response",
    "structured_messages": None,
    "texts": ["Paris."],
}


@pytest.fixture(scope="module")
def keeping() -> Iterator[httpx.Client]:
    with serving(litellm_calls=2) as served, served.client() as client:
        yield client


def ask(client: httpx.Client, form: dict[str, Any], **changed: object) -> dict[str, Any]:
    answer = client.post(PATH, json={**form, **changed})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_what_is_safe_passes(client: httpx.Client) -> None:
    for form, mode in ((REQUEST, "prompt"), (RESPONSE, "response")):
        said = ask(client, form)
        assert said["action"] == "NONE"
        assert [verdict["mode"] for verdict in said["edgeguard"]] == [mode]


def test_what_is_flagged_is_blocked_and_says_why(client: httpx.Client) -> None:
    for said in (
        ask(client, REQUEST, structured_messages=[user("unsafe")]),
        ask(client, REQUEST, structured_messages=None, texts=["a", "unsafe"]),
        ask(client, RESPONSE, texts=["a", "unsafe"]),
        ask(client, RESPONSE, texts=[], tool_calls=[
            {"type": "function", "function": {"name": "f", "arguments": '{"a": "unsafe"}'}}
        ]),
    ):  # fmt: skip
        assert said["action"] == "BLOCKED"
        assert said["blocked_reason"] == "Unsafe: Violent, PII"


def test_nothing_to_see_passes(client: httpx.Client) -> None:
    """A stream's first chunks have no text."""
    for texts in ([], None, [""], [" ", "\n"]):
        assert ask(client, RESPONSE, texts=texts) == {
            "action": "NONE",
            "edgeguard": [],
            "not_judged": [],
        }


def test_what_cannot_be_judged_does_not_pass(client: httpx.Client) -> None:
    assert ask(client, REQUEST, images=["data:,"])["action"] == "BLOCKED"
    skip = {"skip_images": True}
    parts = [
        {"type": "text", "text": "unsafe"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    messages = [{"role": "user", "content": parts}]
    given = {"images": ["data:,"], "structured_messages": messages}
    said = ask(client, REQUEST, **given, additional_provider_specific_params=skip)
    assert said["blocked_reason"] == "Unsafe: Violent, PII"
    for wrong in (
        {"input_type": "other"}, {"structured_messages": [{"role": "martian", "content": "a"}]},
        {"additional_provider_specific_params": {"polcy": "loose"}},
        {"additional_provider_specific_params": {"policy": "none"}},
        {"texts": ["word " * 150_000], "structured_messages": None},
    ):  # fmt: skip
        answer = client.post(PATH, json={**REQUEST, **wrong})
        assert answer.status_code == 400
        assert "action" not in answer.json()
    mixed = {"texts": ["a", "word " * 150_000], "structured_messages": None}
    assert client.post(PATH, json={**REQUEST, **mixed}).status_code == 400


def test_fields_that_nobody_has_heard_of_are_judged(client: httpx.Client) -> None:
    for form in (REQUEST, RESPONSE):
        found = ask(client, form, documents=[{"text": MILD}], number=7, nothing=None)
        assert (found["action"], len(found["edgeguard"])) == ("NONE", 2)
        found = ask(client, form, documents=[{"text": {"inner": ["unsafe"]}}])
        assert found["blocked_reason"] == "Unsafe: Violent, PII"
        answer = client.post(PATH, json={**form, "videos": ["data:video/mp4;base64,AAAA"]})
        assert answer.status_code == 400
        assert "videos" in answer.json()["error"]["message"]
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": "unsafe"}'}}
    found = ask(client, REQUEST, structured_messages=None, texts=[], tool_calls=[call])
    assert found["action"] == "BLOCKED"


def test_what_is_passed_over_is_named(client: httpx.Client) -> None:
    skip = {"images": ["data:,"], "additional_provider_specific_params": {"skip_images": True}}
    found = ask(client, REQUEST, tools=[{"type": "function"}], **skip)
    assert (found["action"], found["not_judged"]) == ("NONE", ["tools", "images"])


def test_an_answer_is_judged_in_its_context_if_that_is_kept(
    client: httpx.Client, keeping: httpx.Client
) -> None:
    asked = {"structured_messages": [user("Is it unsafe?")]}
    for each in (client, keeping):
        ask(each, REQUEST, **asked)
    assert ask(client, RESPONSE)["edgeguard"][0]["severity"] == "Safe"  # without its prompt
    assert ask(keeping, RESPONSE)["edgeguard"][0]["severity"] == "Unsafe"
    assert ask(keeping, RESPONSE, litellm_call_id="other")["edgeguard"][0]["severity"] == "Safe"
    for number in range(2):
        ask(keeping, REQUEST, litellm_call_id=f"more-{number}")
    assert ask(keeping, RESPONSE)["edgeguard"][0]["severity"] == "Safe"  # the oldest is gone


@given(
    st.lists(st.tuples(st.integers(0, 9), st.text(max_size=30))),
    st.integers(0, 4),
)
def test_what_is_kept_is_the_latest_and_has_bounds(asked: list[tuple[int, str]], most: int) -> None:
    calls = Calls(most)
    latest: dict[int, str] = {}
    for number, text in asked:
        calls.keep(str(number), [user(text)])
        latest.pop(number, None)
        latest[number] = text
        assert len(calls) <= most
    kept = dict(list(latest.items())[-most:]) if most else {}
    for number in range(10):
        assert calls.find(str(number)) == ([user(kept[number])] if number in kept else ())


def test_what_is_kept_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(100)
    monkeypatch.setattr(litellm, "KEPT_CHARACTERS", 2 * len(str(user("four"))) + 1)
    for number in range(5):
        calls.keep(str(number), [user("four")])
    assert len(calls) == 2
    monkeypatch.setattr(litellm, "KEPT_SECONDS", 0.0)
    assert calls.find("4") == ()
    assert len(calls) == 0


def test_the_key_is_asked_for_in_litellm_s_header() -> None:
    with serving(api_key="secret") as served, served.client() as client:
        for headers, status in (
            ({}, 401),
            ({"x-api-key": "no"}, 401),
            ({"x-api-key": "secret"}, 200),
        ):
            assert client.post(PATH, json=REQUEST, headers=headers).status_code == status
