"""The WebSocket at /v1/guard/stream: a response in pieces, judged as the library judges it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxied import proxying
from raw_http import connect as connect_raw
from raw_http import error_in, read_all, read_head, statuses, until
from served import Served, scripted, serving
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edgeguard import Guard
from edgeguard.policy import LOOSE
from edgeguard.protocol.names import SAFE, UNSAFE, Severity
from edgeguard.server import socket_connection, socket_stream
from edgeguard.session.fake import FakeSession
from edgeguard.session.fake_stream import FakeStreamSession

PATH = "/v1/guard/stream"
CALM = "A calm sentence of some forty characters. "
GEN = FakeSession(scripted)


def label(role: str, text: str) -> Severity | tuple[Severity, str]:
    """X makes a token Unsafe."""
    return (UNSAFE, "PII") if role == "assistant" and text.endswith("X") else SAFE


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(load=lambda _: Guard.with_session(GEN), policies=(LOOSE,)) as found:
        yield found


@pytest.fixture(scope="module")
def tokens() -> Iterator[Served]:
    with serving(load=lambda _: Guard.with_session(FakeStreamSession(label))) as found:
        yield found


def opened(served: Served, path: str = PATH, **options: Any) -> ClientConnection:
    url = served.url.replace("http", "ws") + path
    socket: ClientConnection = connect(url, proxy=None, compression=None, **options)
    return socket


def say(socket: ClientConnection, **message: object) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> tuple[str, Any]:
    message = json.loads(socket.recv(timeout=20))
    assert message.keys() == {"event", "data"}
    return message["event"], message["data"]


def rest(socket: ClientConnection) -> tuple[list[tuple[str, Any]], int]:
    """Everything until it closes, and the code."""
    found = []
    try:
        while True:
            found.append(hear(socket))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return found, closed.rcvd.code


def watched(served: Served, pieces: list[str | bytes], **first: object) -> list[tuple[str, Any]]:
    with opened(served) as socket:
        say(socket, **first)
        try:
            for piece in pieces:
                socket.send(piece) if isinstance(piece, bytes) else say(socket, piece=piece)
            say(socket, end=True)
        except ConnectionClosed:
            pass
        found, code = rest(socket)
    assert code == 1000
    return found


def test_a_calm_response_is_safe_to_its_end(served: Served) -> None:
    (kind, prompt), *states, (name, verdict) = watched(
        served, [CALM[:5], CALM[5:], CALM.encode(), CALM * 2], prompt="A story?"
    )
    assert kind == "prompt" and prompt["mode"] == "prompt" and not prompt["flagged"]
    assert {event for event, _ in states} == {"state"}
    places = [state["safe_to"] for _, state in states]
    assert places == sorted(places) and places[-1] == 4 * len(CALM)
    assert name == "verdict" and not verdict["flagged"] and verdict["mode"] == "response"


def test_what_is_safe_is_told_while_the_stream_goes_on(served: Served) -> None:
    with opened(served) as socket:
        say(socket)
        assert hear(socket) == ("prompt", None)
        say(socket, piece=CALM + "Then ")
        assert hear(socket)[1]["safe_to"] == len(CALM) - 1
        say(socket, piece="it is unsafe, and goes on for a while. And so on. ")
        name, state = hear(socket)
        assert (name, state["flagged"], state["safe_to"]) == ("state", True, len(CALM) - 1)
        found, code = rest(socket)  # nobody said that it ends
        assert [event for event, _ in found] == ["verdict"] and code == 1000
        assert found[0][1]["flagged"]


@settings(max_examples=12)
@given(st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_however_it_is_cut_it_says_what_the_library_says(cuts: list[int], as_bytes: bool) -> None:
    text = "Grüße, 昔々 👩\u200d👩 in a row, X then XX and more. "
    data: Any = text.encode() if as_bytes else text.encode("utf-16-le")
    edges = [0, *sorted(min(2 * cut, len(data)) for cut in cuts), len(data)]
    pieces: list[Any] = [data[a:b] for a, b in pairwise(edges)]
    if not as_bytes:  # as JavaScript cuts strings
        pieces = [piece.decode("utf-16-le", "surrogatepass") for piece in pieces]
    found = watched(_TOKENS[0], pieces, prompt="Hello", labels=True)
    guard = _TOKENS[0].worker.guard
    assert guard is not None
    with guard.watch([{"role": "user", "content": "Hello"}]) as watch:
        watch.feed(text)
        expected = watch.end()
        labels = watch.labels
    assert found[-1][0] == "verdict"
    assert found[-1][1]["severity"] == expected.severity == UNSAFE
    (state,) = [data for name, data in found if name == "state"][-1:]
    assert state["safe_to"] == watch.state.safe_to
    told = [each for name, data in found if name == "state" for each in data["labels"]]
    same = [(each["start"], each["end"], each["severity"]) for each in told]
    assert same == [(one.start, one.end, one.severity) for one in labels][: len(same)]
    assert any(severity == UNSAFE for *_, severity in same)


_TOKENS: list[Served] = []


@pytest.fixture(autouse=True)
def _tokens(tokens: Served) -> None:
    _TOKENS[:] = [tokens]


def test_options_have_the_names_of_the_library(served: Served, tokens: Served) -> None:
    text = "one X is enough "
    assert not watched(tokens, [text])[-1][1]["flagged"]
    assert watched(tokens, [text], in_a_row=1)[-1][1]["flagged"]
    odd: list[str | bytes] = ["controversial "]
    assert watched(served, odd)[-1][1]["flagged"]
    assert not watched(served, odd, policy="loose")[-1][1]["flagged"]
    assert len(watched(served, [CALM] * 8, interval=200)) < len(watched(served, [CALM] * 8))
    with served.client() as client:  # and over HTTP
        body = {"response": "x", "in_a_row": 0}
        answer = client.post(PATH, json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "in_a_row")
    with tokens.client() as client:
        flagged = client.post(PATH, json={"response": text, "in_a_row": 1, "labels": True}).text
        assert '"flagged": true' in flagged and '"labels": [' in flagged


@pytest.mark.parametrize(
    ("messages", "code", "param"),
    [
        (["{"], "invalid_json", None),
        (["[]"], "invalid_value", None),
        ([b"{}"], "invalid_value", None),
        (['{"response": "whole"}'], "unknown_parameter", "response"),
        (['{"prompt": " "}'], "empty", "prompt"),
        (['{"prompt": "a", "messages": []}'], "invalid_conversation", "prompt"),
        (['{"messages": [{"role": "nobody", "content": "a"}]}'], "invalid_conversation", None),
        (['{"policy": "other"}'], "unknown_policy", "policy"),
        (["{}", "no JSON"], "invalid_json", None),
        (["{}", "{}"], "invalid_value", None),
        (["{}", '{"piece": 3}'], "invalid_value", "piece"),
        (["{}", '{"more": "a"}'], "unknown_parameter", "more"),
        (["{}", "[" * 5000], "invalid_json", None),
        (["{}", b"\xff"], "invalid_conversation", "response"),
        (["{}", '{"piece": "\\ud83d!"}'], "invalid_conversation", "response"),
        (["{}", '{"end": true}'], "empty", "response"),
    ],
)
def test_what_is_wrong_is_said_and_ends_it(
    served: Served, messages: list[str | bytes], code: str, param: str | None
) -> None:
    with opened(served) as socket:
        for message in messages:
            socket.send(message)
        found, closed = rest(socket)
    assert closed == 1008
    error = found[-1][1]["error"]
    assert found[-1][0] == "error" and error["code"] == code, error
    assert param is None or error["param"] == param


# Who may ask, and how much.


def refused(served: Served, path: str = PATH, **options: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as found, opened(served, path, **options):
        pass
    response = found.value.response
    assert response.headers["x-request-id"] and response.headers["cache-control"] == "no-store"
    return response.status_code, json.loads(response.body)["error"]["code"]


def test_foreign_hosts_and_pages_are_turned_away(served: Served) -> None:
    assert refused(served, origin="https://evil.example") == (403, "foreign_origin")
    host = {"Host": "rebound.example"}
    answer = handshake(served, host="rebound.example")
    assert statuses(answer) == [403] and error_in(answer)["code"] == "foreign_host", host
    with opened(served, origin=served.url):
        pass


def test_the_key_is_asked_for() -> None:
    with serving(api_key="a-key") as served:
        assert refused(served) == (401, "invalid_api_key")
        wrong = {"Authorization": "Bearer other"}
        assert refused(served, additional_headers=wrong) == (401, "invalid_api_key")
        with opened(served, additional_headers={"Authorization": "Bearer a-key"}) as socket:
            say(socket)
            assert hear(socket) == ("prompt", None)


@pytest.mark.parametrize("path", ["/", "/v1/guard", "/v1/chat/completions", "/nothing", "/health"])
def test_there_is_no_other_websocket(served: Served, path: str) -> None:
    assert refused(served, path) == (404, "unknown_path")


def test_a_handshake_that_is_none_is_plain_http(served: Served) -> None:
    """It is answered, and nobody waits on it."""
    for change in (
        {"version": "8"},
        {"key": "short"},
        {"more": "Content-Length: 5\r\n"},
        {"more": "X: y\r\n" * 101},
        {"more": f"X: {'y' * 8000}\r\n"},
        {"connection": "keep-alive"},
    ):
        assert statuses(handshake(served, **change, closes=True)) == [405], change
    posted = handshake(served, method="POST", closes=True)
    assert statuses(posted)[0] in (400, 415)


def handshake(served: Served, *, closes: bool = False, **change: str) -> bytes:
    """What is answered to a handshake by hand."""
    connection = change.pop("connection", "Upgrade") + (", close" if closes else "")
    with connect_raw(served) as sock:
        sock.sendall(handshake_head(connection=connection, **change))
        if "Length" in change.get("more", ""):
            sock.sendall(b"hello")
        return read_all(sock)


def handshake_head(
    method: str = "GET",
    host: str = "localhost",
    version: str = "13",
    key: str = "AAAAAAAAAAAAAAAAAAAAAA==",
    connection: str = "Upgrade",
    more: str = "",
) -> bytes:
    return (
        f"{method} {PATH} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        f"Connection: {connection}\r\nSec-WebSocket-Version: {version}\r\n"
        f"Sec-WebSocket-Key: {key}\r\n{more}\r\n"
    ).encode()


def test_so_many_responses_are_watched_at_once() -> None:
    with serving(queue=2) as served, opened(served), opened(served):
        assert refused(served) == (503, "queue_full")
        with served.client() as client:
            assert client.post(PATH, json={"response": "Hello"}).status_code == 503
            assert client.post("/v1/guard", json={"prompt": "Hello"}).status_code == 200
    with serving(queue=1) as served:
        for _ in range(3):  # the place is free again
            with opened(served):
                pass
            until(lambda: served.worker.queue.depth == 0)
            time.sleep(0.05)


def test_its_messages_count_as_one_body() -> None:
    with serving(max_body=2048) as served:
        with opened(served) as socket:
            say(socket)
            for _ in range(3):
                say(socket, piece="word " * 150)
            found, code = rest(socket)
            assert found[-1][1]["error"]["code"] == "body_too_large" and code == 1009
        with opened(served) as socket:
            say(socket, piece="x" * 3000)
            assert rest(socket) == ([], 1009)
        with opened(served) as socket:  # many that say nothing take memory too
            say(socket)
            try:
                for _ in range(200):
                    say(socket, piece="")
            except ConnectionClosed:
                pass
            assert rest(socket)[1] == 1009


def test_a_client_that_says_nothing_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_stream, "BEGIN_SECONDS", 0.2)
    monkeypatch.setattr(socket_stream, "IDLE_SECONDS", 0.3)
    for first in (False, True):
        with opened(served) as socket:
            if first:
                say(socket)
            found, code = rest(socket)
            assert found[-1][1]["error"]["code"] == "timeout" and code == 1008


@pytest.mark.parametrize("patience", [{"ANSWER_SECONDS": 0.3}, {"MOST_UNSENT": 1 << 16}])
def test_a_client_that_does_not_read_is_let_go(
    monkeypatch: pytest.MonkeyPatch, patience: dict[str, float]
) -> None:
    """However much it asks for: each ping has its answer."""
    monkeypatch.setattr(socket_connection, "MOST_UNSENT", 1 << 30)
    for name, value in patience.items():
        monkeypatch.setattr(socket_connection, name, value)
    with serving() as served, connect_raw(served, buffer=2048) as sock:
        sock.sendall(handshake_head())
        assert b" 101 " in read_head(sock)
        ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
        with pytest.raises(OSError):
            for _ in range(400):
                sock.sendall(ping * 1000)
                time.sleep(0.002)
        with served.client() as client:
            ended = 'connections_ended_total{reason="answer_timeout"} 1.0'
            assert ended in client.get("/metrics").text


def test_a_closed_socket_stops_the_computation(served: Served) -> None:
    """In the middle of a pass: the next text is judged at once, and nothing is read on."""
    GEN._seconds = 20.0
    try:
        with opened(served) as socket:
            say(socket)
            assert hear(socket)[0] == "prompt"
            say(socket, piece=CALM * 20)
            time.sleep(0.3)
        GEN._seconds = 0.0
        began = time.monotonic()
        with served.client() as client:
            assert client.post("/v1/guard", json={"prompt": "Hello"}).status_code == 200
        assert time.monotonic() - began < 5
        reads = len(GEN.reads)
        time.sleep(0.2)
        assert len(GEN.reads) == reads
    finally:
        GEN._seconds = 0.0


def test_a_connection_that_is_cut_stops_it_as_well(served: Served) -> None:
    GEN._seconds = 20.0
    try:
        with opened(served) as socket:
            say(socket, prompt="Hello")  # already the prompt takes long
            time.sleep(0.3)
            socket.socket.shutdown(2)
        GEN._seconds = 0.0
        with served.client() as client:
            began = time.monotonic()
            assert client.post("/v1/guard", json={"prompt": "Hello"}).status_code == 200
            assert time.monotonic() - began < 5
    finally:
        GEN._seconds = 0.0


def test_a_server_that_stops_closes_it() -> None:
    with ExitStack() as stack:
        served = stack.enter_context(serving())
        socket = stack.enter_context(opened(served))
        say(socket)
        assert hear(socket)[0] == "prompt"
        served.server.should_exit = True
        assert rest(socket) == ([], 1012)


def test_it_is_noted_and_nothing_of_it_is_logged(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "Something that nobody shall read. "
    with opened(served, f"{PATH}?q=secret", additional_headers={"X-Request-Id": "my-id"}) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "my-id"
        say(socket, prompt=secret)
        say(socket, piece=secret * 3)
        socket.send(b"\xff")
        rest(socket)
    line = "GET /v1/guard/stream 101"
    until(lambda: line in caplog.text)
    ours = "\n".join(
        record.getMessage() for record in caplog.records if "websockets" not in record.name
    )
    assert "nobody" not in ours and "secret" not in ours
    fields: Any = next(record for record in caplog.records if record.getMessage() == line)
    assert (fields.fields["id"], fields.fields["code"]) == ("my-id", "invalid_conversation")
    with served.client() as client:
        text = client.get("/metrics").text
        assert 'method="GET",route="/v1/guard/stream",status="101"' in text
        until(lambda: "edgeguard_connections 1.0" in client.get("/metrics").text)


def test_an_unforeseen_error_is_no_open_end(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("quotes a text")

    monkeypatch.setattr(socket_stream, "validated", broken)
    with opened(served) as socket:
        say(socket)
        assert rest(socket)[1] == 1011
    until(lambda: "failed in a way not foreseen" in caplog.text)
    assert "quotes a text" not in caplog.text


def test_the_proxy_has_none() -> None:
    with proxying("http://127.0.0.1:9") as proxied:
        assert refused(proxied, "/v1/realtime") == (404, "unknown_path")
