"""What an operator reads: a line a request, ids, reasons; and never a text or a client's name."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from served import MILD, scripted, serving

from edgeguard import SessionError
from edgeguard.server.log import Seldom, configure, say

SECRET = "zebra-crossing"


@pytest.fixture(params=["text", "json"])
def form(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def stderr(form: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What the log of a server in this process says."""
    logger = logging.getLogger("edgeguard")
    before = logger.handlers, logger.propagate, logger.level
    configure(form)
    yield lambda: capsys.readouterr().err
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def failing(question: str) -> str:
    if "fails" in question:
        raise SessionError("the device is busy")
    return scripted(question)


def test_each_request_has_a_line(stderr: Callable[[], str], form: str) -> None:
    with serving(failing) as served, served.client() as client:
        given = {"x-request-id": "abc-123"}
        ok = client.post("/v1/guard", json={"prompt": f"{SECRET}"}, headers=given)
        made = client.get(f"/{SECRET}", params={"a": SECRET}).headers["x-request-id"]
        client.request(SECRET.upper(), "/health")
        client.post("/v1/guard", json={"prompt": " ", SECRET: 1})
        client.get(f"/v1/models/{SECRET}")
        assert client.post("/v1/guard", json={"prompt": f"{SECRET} fails"}).status_code == 500
    assert ok.headers["x-request-id"] == "abc-123"
    said = stderr()
    assert SECRET not in said
    assert SECRET.upper() not in said
    lines: list[Any] = [json.loads(line) if form == "json" else line for line in said.splitlines()]
    if form == "text":
        time = r"edgeguard: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        found = f"{time} POST /v1/guard 200 id=abc-123 client=127.0.0.1 seconds=[0-9.]+ tokens="
        assert re.search(found, said)
        assert f"GET other 404 id={made}" in said
        assert "other /health 405" in said
        assert "GET /v1/models/{model} 404" in said
        assert re.search(r"POST /v1/guard 400 .* code=unknown_parameter", said)
        assert re.search(r"POST /v1/guard 500 .* code=judging_failed", said)
        return
    first = next(line for line in lines if line.get("id") == "abc-123")
    assert first["message"] == "POST /v1/guard 200"
    assert first["tokens"] == ok.json()["tokens"]
    assert first["client"] == "127.0.0.1"
    assert {"time", "level", "seconds"} <= first.keys()


def test_a_500_is_logged_with_its_reason(stderr: Callable[[], str]) -> None:
    with serving(failing) as served, served.client() as client:
        given = {"x-request-id": "abc-123"}
        client.post("/v1/guard", json={"prompt": f"{SECRET} fails"}, headers=given)
    said = stderr()
    assert "request abc-123: a text could not be judged: SessionError: the device is busy" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "given", ["a", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a:b/c=d+e_f.g"]
)
def test_a_sane_id_is_kept(client: httpx.Client, given: str) -> None:
    for path, status in (("/livez", 200), ("/nowhere", 404), ("/v1/guard", 405)):
        answer = client.get(path, headers={"x-request-id": given})
        assert answer.status_code == status
        assert answer.headers["x-request-id"] == given
        if status != 200:
            assert answer.json()["error"]["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "<script>", 'a"b', "é", "a,b"])
def test_another_id_is_replaced(client: httpx.Client, given: str) -> None:
    headers = {"x-request-id": given.encode("latin-1")}
    answer = client.get("/livez", headers=headers)  # type: ignore[arg-type]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_what_happens_often_is_said_seldom(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(logging.getLogger("edgeguard.test"), seconds=3600)
    for _ in range(100):
        seldom.warn("it happened")
    assert len(caplog.records) == 1
    seldom._next = 0
    seldom.warn("it happened")
    assert "99 times" in caplog.records[1].getMessage()


@pytest.mark.parametrize("broken", ["full", "closed", "none"])
def test_no_stderr_is_no_error(form: str, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    stream = {"full": Full(), "closed": io.StringIO(), "none": None}[broken]
    if broken == "closed":
        assert stream is not None
        stream.close()
    logger = logging.getLogger("edgeguard")
    before = logger.handlers, logger.propagate, logger.level
    monkeypatch.setattr(sys, "stderr", stream)
    configure(form)
    try:
        say(logger, "a note")
        with serving() as served, served.client() as client:
            assert client.post("/v1/guard", json={"prompt": MILD}).status_code == 200
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
