"""/v1/guard, /health, /metrics, /openapi.json."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from pathlib import Path

import httpx
import jsonschema
import pytest
from conftest import ROOT
from prometheus_client.parser import text_string_to_metric_families
from served import MILD, Doorman, serving

from edgeguard import Guard, ModelNotFoundError, __version__
from edgeguard.cancellation import Cancellation
from edgeguard.policy import Policy
from edgeguard.protocol.names import UNSAFE
from edgeguard.server.settings import MAX_TEXTS
from edgeguard.session.fake import FakeSession

SCHEMA = json.loads((ROOT / "edgeguard" / "verdict.schema.json").read_text(encoding="utf-8"))
USER = {"role": "user", "content": MILD}
needs_reader = pytest.mark.skipif(
    importlib.util.find_spec("edgeguard.conversation") is None,
    reason="needs the reader of all forms, edgeguard.conversation",
)
ONES = [
    ({"prompt": MILD}, "prompt"),
    ({"prompt": MILD, "response": "Paris."}, "response"),
    ({"prompt": "", "response": "Paris."}, "response"),
    ({"messages": [{"role": "user", "content": MILD}]}, "prompt"),
    (
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": MILD}]},
                {"role": "assistant", "content": "Paris."},
            ]
        },
        "response",
    ),
]


@pytest.mark.parametrize(("body", "mode"), ONES)
def test_one_verdict(client: httpx.Client, body: dict[str, object], mode: str) -> None:
    answer = client.post("/v1/guard", json=body)
    assert answer.status_code == 200, answer.text
    jsonschema.validate(answer.json(), SCHEMA)
    assert answer.json()["mode"] == mode


def test_many_verdicts_in_their_order(client: httpx.Client) -> None:
    bodies = [body for body, _ in ONES] + [{"prompt": "unsafe"}]
    verdicts = client.post("/v1/guard", json={"inputs": bodies}).json()["verdicts"]
    assert [verdict["mode"] for verdict in verdicts] == [mode for _, mode in ONES] + ["prompt"]
    assert verdicts[-1]["severity"] == "Unsafe"
    for verdict in verdicts:
        jsonschema.validate(verdict, SCHEMA)


def test_a_text_that_is_too_long_is_400(client: httpx.Client) -> None:
    answer = client.post("/v1/guard", json={"prompt": "word " * 120_000})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert "windows" in answer.json()["error"]["message"]


def test_health(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20  # the model is busy no more with what others asked
    while (answer := client.get("/health")).json()["busy_seconds"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "model": "fake",
        "type": "none",
        "sha256": "",
        "policies": ["strict", "loose"],
        "queue": {"waiting": 0, "capacity": 64, "oldest_wait_seconds": 0.0},
        "busy_seconds": 0.0,
    }
    head = client.head("/health")
    assert head.status_code == 200
    assert head.text == ""


def test_a_model_that_was_given_back_when_idle_is_no_failure() -> None:
    def load(_cancel: Cancellation) -> Guard:
        return Guard("nano", threads=1, idle_unload=0.1)

    with serving(load=load) as served, served.client() as client:
        deadline = time.monotonic() + 20
        while (said := client.get("/health")).json()["status"] != "idle":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert said.status_code == 200
        metrics = client.get("/metrics").text
        assert "edgeguard_ready 1.0" in metrics
        assert "edgeguard_model_loaded 0.0" in metrics
        assert client.post("/v1/guard", json={"prompt": MILD}).json()["severity"] == "Safe"
        assert client.get("/health").json()["status"] in ("ok", "idle")


def test_a_request_may_name_strict_loose_and_what_the_server_was_started_with() -> None:
    text = "controversial"
    with serving(policies=(Policy("mine", (UNSAFE,)),)) as served, served.client() as client:
        assert client.get("/health").json()["policies"] == ["strict", "mine", "loose"]
        for policy, flagged in ((None, True), ("strict", True), ("loose", False), ("mine", False)):
            said = client.post("/v1/guard", json={"prompt": text, "policy": policy}).json()
            assert (said["policy"], said["flagged"]) == (policy or "strict", flagged)
            listed = {"inputs": [{"prompt": text}, {"messages": [USER]}], "policy": policy}
            both = client.post("/v1/guard", json=listed).json()["verdicts"]
            assert [each["flagged"] for each in both] == [flagged, False]
            moderated = client.post("/v1/moderations", json={"input": text, "policy": policy})
            assert moderated.json()["results"][0]["flagged"] == flagged
        for path, given in (("guard", {"prompt": text}), ("moderations", {"input": text})):
            refused = client.post(f"/v1/{path}", json={**given, "policy": "other"})
            assert refused.status_code == 400
            error = refused.json()["error"]
            assert (error["param"], error["code"]) == ("policy", "unknown_policy")
            assert "strict, mine, loose" in error["message"]
        inside = client.post("/v1/guard", json={"inputs": [{"prompt": text, "policy": "loose"}]})
        assert inside.json()["error"]["param"] == "inputs[0].policy"


@needs_reader
def test_each_message_of_a_conversation_may_be_judged(client: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        USER,
        {"role": "assistant", "content": "It is Paris."},
        {"role": "user", "content": [{"type": "text", "text": "unsafe"}]},
    ]
    for judge, severities in (
        ("last", ["Unsafe"]),
        ("exchange", ["Unsafe"]),
        ("each", ["Safe", "Safe", "Unsafe"]),
    ):
        said = client.post("/v1/guard", json={"messages": messages, "judge": judge}).json()
        verdicts = [said] if judge == "last" else said["verdicts"]
        assert [each["severity"] for each in verdicts] == severities
    many = client.post("/v1/guard", json={"messages": [USER] * (MAX_TEXTS + 1), "judge": "each"})
    assert f"at most {MAX_TEXTS}" in many.json()["error"]["message"]
    for wrong in ({"messages": [USER], "judge": "some"}, {"prompt": "a", "judge": "each"}):
        assert client.post("/v1/guard", json=wrong).json()["error"]["param"] == "judge"


@needs_reader
def test_messages_are_read_as_the_request_says(client: httpx.Client) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": MILD}, picture]}]
    refused = client.post("/v1/guard", json={"messages": messages}).json()["error"]
    assert (refused["param"], refused["code"]) == ("messages", "invalid_conversation")
    said = client.post("/v1/guard", json={"messages": messages, "skip_media": True}).json()
    assert said["not_judged"]
    inside = {"inputs": [{"messages": messages}], "skip_media": True}
    assert client.post("/v1/guard", json=inside).json()["verdicts"][0]["not_judged"]
    tools = [USER, {"role": "tool", "tool_call_id": "1", "content": "unsafe"}]
    assert client.post("/v1/guard", json={"messages": tools}).json()["severity"] == "Unsafe"
    strict = client.post("/v1/guard", json={"messages": tools, "strict_messages": True})
    assert strict.status_code == 400


def test_health_is_not_ok_before_the_test_verdicts() -> None:
    door = Doorman()

    def load(_cancel: Cancellation) -> Guard:
        return Guard.with_session(FakeSession(lambda q: door(q.replace("What", "wait"))))

    with serving(load=load, ready=False) as served, served.client() as client:
        assert door.arrived.wait(20)
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json() == {"status": "loading", "reason": "the model is being loaded"}
        for path, body in (("/v1/guard", {"prompt": MILD}), ("/v1/moderations", {"input": MILD})):
            refused = client.post(path, json=body)
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert refused.json()["error"]["code"] == "not_ready"
        assert client.get("/v1/models").status_code == 503
        assert "edgeguard_ready 0.0" in client.get("/metrics").text
        door.open.set()


def test_health_is_not_ok_where_the_model_failed() -> None:
    def load(_cancel: Cancellation) -> Guard:
        raise ModelNotFoundError("there is no such file at a secret place")

    with serving(load=load) as served, served.client() as client:
        answer = client.get("/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert "secret" not in answer.text


def test_metrics_count_requests_and_verdicts() -> None:
    with serving() as served, served.client() as client:
        client.post("/v1/guard", json={"inputs": [{"prompt": "unsafe"}, {"prompt": "a"}]})
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "b"}]})
        client.post("/v1/moderations", json={"input": "controversial"})
        client.post("/v1/guard", json={})
        client.post("/v1/guard", json={"prompt": " "})
        client.get("/some/where")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["edgeguard_verdicts_total", "Unsafe", "prompt", "true"] == 1
    assert found["edgeguard_verdicts_total", "Safe", "false", "prompt"] == 2
    assert found["edgeguard_verdicts_total", "Controversial", "prompt", "true"] == 1
    assert found["edgeguard_verdicts_total", "Safe", "false", "response"] == 0
    assert found["edgeguard_verdict_categories_total", "PII"] == 1
    assert found["edgeguard_verdict_categories_total", "Jailbreak"] == 0
    assert found["edgeguard_http_requests_total", "/v1/guard", "200", "POST"] == 1
    assert found["edgeguard_http_requests_total", "/v1/guard", "400", "POST"] == 2
    assert found["edgeguard_http_requests_total", "404", "GET", "other"] == 1
    assert found["edgeguard_http_request_duration_seconds_count", "/v1/moderations"] == 1
    assert found["edgeguard_failed_texts_total", "empty"] == 1
    assert found["edgeguard_queue_requests",] == found["edgeguard_in_flight_requests",] == 0
    assert found["edgeguard_queue_capacity_requests",] == 64
    assert found["edgeguard_queue_oldest_wait_seconds",] == found["edgeguard_busy_seconds",] == 0
    assert found["edgeguard_ready",] == 1
    assert found["edgeguard_connections",] == 1 < found["edgeguard_connections_limit",]
    assert found["edgeguard_verdict_duration_seconds_count",] == 4
    assert found["edgeguard_read_tokens_total",] > 1000
    assert found["edgeguard_build_info", __version__, "cpu", "fake", "none"] == 1
    if Path("/proc/stat").exists():
        assert found["process_resident_memory_bytes",] > 1e6
        assert found["process_open_fds",] > 3
    assert "/some/where" not in answer.text


def test_two_servers_do_not_share_metrics() -> None:
    with serving() as one, serving() as two, one.client() as first, two.client() as second:
        first.post("/v1/guard", json={"prompt": "a"})
        one_safe = 'flagged="false",mode="prompt",severity="Safe"} 1.0'
        assert one_safe in first.get("/metrics").text
        assert one_safe not in second.get("/metrics").text


def test_the_document_names_every_path_and_resolves(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/chat/completions", "/v1/moderations", "/v1/guard", "/v1/guard/stream", "/v1/models",
        "/v1/models/{model}", "/health", "/livez", "/metrics",
        *(f"/api/{name}" for name in ("chat", "generate", "show", "pull", "tags", "ps", "version")),
        "/dify/moderation", "/portkey/guardrail", "/beta/litellm_basic_guardrail_api",
    }  # fmt: skip
    text = json.dumps(document)
    for part in text.split('"$ref": "')[1:]:
        name = part.partition('"')[0].removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]


def test_each_name_of_the_model_has_a_card(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()["data"]
    for card in listed:
        assert client.get(f"/v1/models/{card['id']}").json() == card
    assert "Qwen/Qwen3Guard-Gen-0.6B" in [card["id"] for card in listed]
    for other in ("gpt-4o", "zebra%20crossing", "a/b/c"):
        missing = client.get(f"/v1/models/{other}")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"
        assert "zebra" not in missing.text
    labels = client.get("/metrics").text
    assert 'route="/v1/models/{model}"' in labels
    assert "gpt-4o" not in labels


def test_alive_is_less_than_ready() -> None:
    door = Doorman()

    def load(_cancel: Cancellation) -> Guard:
        return Guard.with_session(FakeSession(lambda q: door(q.replace("What", "wait"))))

    with serving(load=load, ready=False) as served, served.client() as client:
        assert door.arrived.wait(20)
        assert client.get("/livez").json() == {"status": "ok"}
        assert client.get("/health").status_code == 503
        door.open.set()


def test_health_and_metrics_say_how_busy_the_model_is() -> None:
    door = Doorman()
    with serving(door) as served, served.client() as client:
        threads = [
            threading.Thread(target=client.post, args=("/v1/guard",), kwargs={"json": body})
            for body in ({"prompt": "wait"}, {"inputs": [{"prompt": "a"}, {"prompt": "b"}]})
        ]
        threads[0].start()
        assert door.arrived.wait(20)
        threads[1].start()
        deadline = time.monotonic() + 20
        while served.worker.depth < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.05)
        said = client.get("/health").json()
        assert said["queue"]["waiting"] == 1
        assert said["queue"]["oldest_wait_seconds"] > 0
        assert said["busy_seconds"] > 0
        text = client.get("/metrics").text
        assert "edgeguard_in_flight_requests 2.0" in text
        assert "edgeguard_in_flight_texts 3.0" in text
        door.open.set()
        for thread in threads:
            thread.join(20)


def test_in_a_list_each_text_has_its_verdict_or_its_error(client: httpx.Client) -> None:
    inputs: list[dict[str, object]] = [
        {"prompt": "unsafe"},
        {"prompt": "\u200b"},
        {"messages": [{"role": "system", "content": "a"}]},
        {"prompt": "word " * 120_000},
        {"prompt": "a", "response": "Paris."},
    ]
    answer = client.post("/v1/guard", json={"inputs": inputs})
    assert answer.status_code == 200
    found = answer.json()["verdicts"]
    assert [item.get("severity") for item in found] == ["Unsafe", None, None, None, "Safe"]
    errors = [item["error"] for item in found if "error" in item]
    assert [error["index"] for error in errors] == [1, 2, 3]
    assert [error["code"] for error in errors] == [
        "empty", "invalid_conversation", "context_length_exceeded",
    ]  # fmt: skip
    assert [error["param"] for error in errors] == [
        "inputs[1].prompt", "inputs[2].messages", "inputs[3].prompt",
    ]  # fmt: skip


def test_a_list_without_any_verdict_is_an_error(client: httpx.Client) -> None:
    answer = client.post("/v1/guard", json={"inputs": [{"prompt": " "}, {"prompt": ""}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "inputs[0].prompt"


def test_under_a_proxy_s_path_with_and_without_it() -> None:
    with serving(root_path="/guard") as served, served.client() as client:
        for path in ("/guard/v1/guard", "/v1/guard"):
            assert client.post(path, json={"prompt": MILD}).status_code == 200
        assert client.get("/guard/openapi.json").json()["servers"] == [{"url": "/guard"}]
        assert client.get("/guard").status_code == client.get("/guard/").status_code == 200
        assert client.get("/guardian").status_code == 404
        assert 'fetch("v1/guard"' in client.get("/guard/").text
        assert 'route="/v1/guard",status="200"} 2.0' in client.get("/metrics").text
