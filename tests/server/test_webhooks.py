"""The webhooks of Dify and of Portkey, by what their sources send and read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from served import MILD, serving

from edgeguard.server.dify import NOT_JUDGED, WITHHELD

LONG = "word " * 150_000


def dify(client: httpx.Client, point: str, **params: object) -> dict[str, Any]:
    answer = client.post("/dify/moderation", json={"point": point, "params": params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def portkey(client: httpx.Client, request: object, response: object = None) -> dict[str, Any]:
    """As version 1.15.2 of the gateway asks; tests/adapters/in_portkey has the gateway itself."""
    context = {
        "request": request,
        "response": response or {"text": "", "json": {}, "statusCode": None},
        "provider": "openai",
        "requestType": "chatComplete",
        "eventType": "afterRequestHook" if response else "beforeRequestHook",
    }
    answer = client.post("/portkey/guardrail", json=context)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def asks(text: str, **more: object) -> dict[str, Any]:
    return {"text": text, "json": {"messages": [{"role": "user", "content": text}], **more}}


def answers(**message: object) -> dict[str, Any]:
    found = {"role": "assistant", "content": None, **message}
    text = message.get("content") or ""
    return {"text": text, "json": {"choices": [{"message": found}]}, "statusCode": 200}


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


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"inputs": {"a": {"b": ["unsafe"]}}, "query": MILD}, WITHHELD),
        ({"inputs": {}, "query": MILD, "new": {"text": "unsafe"}}, WITHHELD),
        ({"inputs": "unsafe"}, WITHHELD),
        ({"inputs": {"a": {"transfer_method": "remote_url", "url": "x"}}}, NOT_JUDGED),
        ({"inputs": {}, "query": "data:image/png;base64,AAAA"}, NOT_JUDGED),
        ({"inputs": None, "query": 7}, ""),
    ],
)
def test_dify_s_fields_that_nobody_expects(
    client: httpx.Client, params: dict[str, object], said: str
) -> None:
    assert dify(client, "app.moderation.input", **params)["preset_response"] == said


def test_portkey_s_requests(client: httpx.Client) -> None:
    assert portkey(client, asks(MILD))["verdict"] is True
    assert portkey(client, {"text": "", "json": {}})["verdict"] is True
    for flagged in (
        asks("unsafe"),
        {"text": "unsafe", "json": {}},
        {"text": ["unsafe"], "json": {"prompt": ["unsafe"]}},
        {"text": MILD, "json": {"input": [MILD, "unsafe"]}},
        asks(MILD, suffix="unsafe"),
        asks(MILD, new={"text": ["unsafe"]}),
    ):
        found = portkey(client, flagged)
        assert (found["verdict"], found["data"]["errors"]) == (False, [])
    settings = {"model": "unsafe", "user": "unsafe", "temperature": 1, "tools": [{"a": "unsafe"}]}
    found = portkey(client, asks(MILD, **settings))
    assert (found["verdict"], found["data"]["not_judged"]) == (True, ["tools"])


def test_portkey_s_answers(client: httpx.Client) -> None:
    found = portkey(client, asks(MILD), answers(content="It is Paris."))
    assert (found["verdict"], found["data"]["verdicts"][0]["mode"]) == (True, "response")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '["unsafe"]'}}
    for request, answer in (
        (asks("unsafe"), answers(content="It is Paris.")),  # in its context
        (asks(MILD), answers(content="unsafe")),
        (asks(MILD), answers(tool_calls=[call])),
        (asks(MILD), {"text": "", "json": {"content": [{"type": "text", "text": "unsafe"}]}}),
        ({"text": MILD, "json": {"prompt": MILD}}, {"json": {"choices": [{"text": "unsafe"}]}}),
    ):
        found = portkey(client, request, answer)
        assert (found["verdict"], found["data"]["errors"]) == (False, [])
    assert portkey(client, asks(MILD), answers(content=""))["verdict"] is True


def test_portkey_lets_what_fails_pass_so_it_is_false(client: httpx.Client) -> None:
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    stream = {"text": "", "json": None, "statusCode": 200}
    for request, answer in (
        ({"text": LONG}, None),
        ({"text": "", "json": {"messages": image}}, None),
        ({"text": "", "json": {"messages": [{"role": "martian", "content": "a"}]}}, None),
        (asks(MILD), stream),
        (asks(MILD), {"text": "", "json": {"choices": [{"message": {"content": 7}}]}}),
    ):
        found = portkey(client, request, answer)
        assert found["verdict"] is False
        assert found["data"]["errors"]

    def broken(_cancel: object) -> Any:
        raise AssertionError

    with serving(load=broken, ready=False) as served, served.client() as failed:
        assert portkey(failed, asks(MILD))["verdict"] is False
