"""The webhooks of Dify and of Portkey, by what their sources send and read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from served import MILD, serving

from edgeguard.server.webhooks import NOT_JUDGED, WITHHELD

LONG = "word " * 150_000


def dify(client: httpx.Client, point: str, **params: object) -> dict[str, Any]:
    answer = client.post("/dify/moderation", json={"point": point, "params": params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def portkey(client: httpx.Client, request: object, response: object = None) -> httpx.Response:
    context = {
        "request": request,
        "response": response or {"text": "", "json": {}, "statusCode": None},
        "provider": "openai",
        "requestType": "chatComplete",
    }
    return client.post("/portkey/guardrail", json=context)


def test_dify_tries_the_address(client: httpx.Client) -> None:
    assert client.post("/dify/moderation", json={"point": "ping"}).json() == {"result": "pong"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"inputs": {"a": "mild", "b": 1}, "query": MILD}, ""),
        ({"inputs": {"a": "unsafe"}, "query": MILD}, WITHHELD),
        ({"inputs": {}, "query": "unsafe"}, WITHHELD),
        ({"inputs": {}, "query": None}, ""),
        ({"inputs": {}, "query": LONG}, NOT_JUDGED),
        ({"inputs": {"a": LONG}, "query": MILD}, NOT_JUDGED),
    ],
)
def test_dify_s_inputs(client: httpx.Client, params: dict[str, object], said: str) -> None:
    found = dify(client, "app.moderation.input", app_id="a", **params)
    assert found == {"flagged": bool(said), "action": "direct_output", "preset_response": said}


@pytest.mark.parametrize(
    ("text", "said"), [("It is Paris.", ""), ("unsafe", WITHHELD), ("", ""), (LONG, NOT_JUDGED)]
)
def test_dify_s_outputs(client: httpx.Client, text: str, said: str) -> None:
    assert dify(client, "app.moderation.output", app_id="a", text=text)["preset_response"] == said


def test_dify_lets_what_fails_pass_so_it_is_flagged() -> None:
    def broken(_cancel: object) -> Any:
        raise AssertionError

    with serving(load=broken, ready=False) as served, served.client() as client:
        assert dify(client, "app.moderation.output", text="a")["preset_response"] == NOT_JUDGED


def test_an_unknown_point_is_an_error(client: httpx.Client) -> None:
    answer = client.post("/dify/moderation", json={"point": "app.external_data_tool.query"})
    assert answer.status_code == 400


def test_portkey(client: httpx.Client) -> None:
    def asks(text: str) -> dict[str, Any]:
        return {"text": text, "json": {"messages": [{"role": "user", "content": text}]}}

    answers = {"text": "It is Paris.", "json": {}, "statusCode": 200}
    assert portkey(client, asks(MILD)).json()["verdict"] is True
    assert portkey(client, asks("unsafe")).json()["verdict"] is False
    assert (
        portkey(client, {"text": "unsafe", "json": {"prompt": "unsafe"}}).json()["verdict"] is False
    )
    found = portkey(client, asks(MILD), answers).json()
    assert (found["verdict"], found["data"][0]["mode"]) == (True, "response")
    assert portkey(client, asks("unsafe"), answers).json()["verdict"] is False  # in its context
    assert portkey(client, asks(MILD), {**answers, "text": "unsafe"}).json()["verdict"] is False
    assert portkey(client, {"text": "", "json": {}}).json() == {"verdict": True, "data": []}
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    for wrong in ({"text": LONG}, {"text": "", "json": {"messages": image}}):
        answer = portkey(client, wrong)
        assert answer.status_code == 400
        assert "verdict" not in answer.json()
