"""/v1/guard, /health, /metrics, /openapi.json."""

from __future__ import annotations

import json

import httpx
import jsonschema
import pytest
from conftest import ROOT
from prometheus_client.parser import text_string_to_metric_families
from served import MILD, Doorman, serving

from edgeguard import Guard, ModelNotFoundError
from edgeguard.session.fake import FakeSession

SCHEMA = json.loads((ROOT / "edgeguard" / "verdict.schema.json").read_text(encoding="utf-8"))
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
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "model": "fake", "type": "none", "sha256": ""}
    head = client.head("/health")
    assert head.status_code == 200
    assert head.text == ""


def test_health_is_not_ok_before_the_test_verdicts() -> None:
    door = Doorman()

    def load() -> Guard:
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
    def load() -> Guard:
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
        client.get("/some/where")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["edgeguard_verdicts_total", "prompt", "Unsafe"] == 1
    assert found["edgeguard_verdicts_total", "prompt", "Safe"] == 2
    assert found["edgeguard_verdicts_total", "prompt", "Controversial"] == 1
    assert found["edgeguard_verdicts_total", "response", "Safe"] == 0
    assert found["edgeguard_requests_total", "/v1/guard", "200"] == 1
    assert found["edgeguard_requests_total", "/v1/guard", "400"] == 1
    assert found["edgeguard_requests_total", "other", "404"] == 1
    assert found["edgeguard_queue_depth",] == 0
    assert found["edgeguard_ready",] == 1
    assert found["edgeguard_verdict_seconds_count",] == 4
    assert found["edgeguard_request_seconds_count", "/v1/moderations"] == 1
    assert found["edgeguard_read_tokens_total",] > 1000
    assert "/some/where" not in answer.text


def test_two_servers_do_not_share_metrics() -> None:
    with serving() as one, serving() as two, one.client() as first, two.client() as second:
        first.post("/v1/guard", json={"prompt": "a"})
        assert 'severity="Safe"} 1.0' in first.get("/metrics").text
        assert 'severity="Safe"} 1.0' not in second.get("/metrics").text


def test_the_document_names_every_path_and_resolves(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/chat/completions", "/v1/moderations", "/v1/guard", "/v1/models", "/health", "/metrics",
    }  # fmt: skip
    text = json.dumps(document)
    for part in text.split('"$ref": "')[1:]:
        name = part.partition('"')[0].removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]
