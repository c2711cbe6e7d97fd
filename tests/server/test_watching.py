"""`/v1/guard/stream`: events of a response that is judged sentence by sentence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from served import serving

from edgeguard import Guard
from edgeguard.policy import LOOSE
from edgeguard.session.fake import FakeSession

CALM = "A calm sentence of some forty characters. "


def _script(question: str) -> str:
    severity = "Unsafe" if "HARM" in question else "Controversial" if "odd" in question else "Safe"
    category = "None" if severity == "Safe" else "Violent"
    refusal = "\nRefusal: No" if "REFUSAL POLICY" in question else ""
    return f"Safety: {severity}\nCategories: {category}{refusal}"


SESSION = FakeSession(_script)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        serving(load=lambda _cancel: Guard.with_session(SESSION), policies=(LOOSE,)) as served,
        served.client() as client,
    ):
        yield client


def _events(client: httpx.Client, body: dict[str, Any]) -> list[tuple[str, Any]]:
    with client.stream("POST", "/v1/guard/stream", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    found = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_calm_response_is_safe_to_its_end(client: httpx.Client) -> None:
    text = CALM * 4
    (first, prompt), *states, (name, verdict) = _events(
        client, {"prompt": "A story?", "response": text}
    )
    assert first == "prompt" and prompt["mode"] == "prompt"
    assert [kind for kind, _ in states] == ["state"] * len(states)
    assert len(states) >= 4
    places = [state["safe_to"] for _, state in states]
    assert places == sorted(places) and places[-1] == len(text)
    assert name == "verdict" and not verdict["flagged"]


def test_harm_ends_it_and_is_not_safe(client: httpx.Client) -> None:
    text = CALM * 2 + "Then HARM comes into it, as it does. " + CALM * 9
    *states, (name, verdict) = _events(client, {"prompt": "A story?", "response": text})
    last = states[-1][1]
    assert last["flagged"] and last["safe_to"] <= text.index("HARM") < last["span"][1]
    assert last["judged_to"] < len(text)
    assert name == "verdict" and verdict["flagged"] and verdict["mode"] == "response"


def test_a_policy_and_a_conversation_may_be_named(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "A story?"}], "response": "Something odd."}
    assert _events(client, body)[-1][1]["flagged"]
    verdict = _events(client, {**body, "policy": "loose"})[-1][1]
    assert not verdict["flagged"] and verdict["policy"] == "loose"
    shares = _events(client, {**body, "category_probabilities": True})[-1][1]
    assert shares["category_probabilities"] is not None


def test_the_verdicts_have_the_published_form(client: httpx.Client) -> None:
    from importlib import resources

    schema = json.loads(resources.files("edgeguard").joinpath("verdict.schema.json").read_text())
    found = _events(client, {"prompt": "A story?", "response": "All is well."})
    jsonschema.validate(found[0][1], schema)
    jsonschema.validate(found[-1][1], schema)
    name, data = _events(client, {"response": "All is well."})[0]
    assert name == "prompt" and data is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "a"}, "response"),
        ({"response": ""}, "response"),
        ({"response": "Fine.", "prompt": "a", "messages": []}, "prompt"),
        ({"response": "Fine.", "prompt": " "}, "prompt"),
        ({"response": "Fine.", "messages": [{"role": "nobody", "content": "a"}]}, "messages"),
        ({"response": "Fine.", "policy": "other"}, "policy"),
        ({"response": "Fine.", "more": 1}, "more"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_status(
    client: httpx.Client, body: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/guard/stream", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_while_the_model_loads_it_is_503() -> None:
    go_on = threading.Event()

    def load(_cancel: object) -> Guard:
        assert go_on.wait(20)
        return Guard.with_session(SESSION)

    with serving(load=load, ready=False) as served, served.client() as client:
        try:
            answer = client.post("/v1/guard/stream", json={"response": "All is well."})
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "not_ready"
        finally:
            go_on.set()


def test_a_client_that_leaves_frees_the_model(client: httpx.Client) -> None:
    SESSION._seconds = 0.3
    try:
        body = {"prompt": "A story?", "response": CALM * 50}
        with client.stream("POST", "/v1/guard/stream", json=body) as answer:
            next(answer.iter_lines())
        began = time.monotonic()
        assert client.post("/v1/guard", json={"prompt": "Hello"}).status_code == 200
        assert time.monotonic() - began < 5
        reads = len(SESSION.reads)
        time.sleep(0.8)
        assert len(SESSION.reads) <= reads + 1
    finally:
        SESSION._seconds = 0.0
