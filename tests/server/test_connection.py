"""Connections by hand: what is too slow, too many, half open, or no HTTP."""

from __future__ import annotations

import logging
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from raw_http import (
    BODY,
    chunked,
    connect,
    error_in,
    post,
    read_all,
    read_head,
    statuses,
    until,
)
from served import Doorman, Served, serving

from edgeguard.server import connection

HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-"


@contextmanager
def hasty(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> Iterator[Served]:
    """A server with little patience."""
    for name, value in seconds.items():
        monkeypatch.setattr(connection, name, value)
    with serving() as served:
        yield served


def metric(served: Served, line: str) -> bool:
    with served.client() as client:
        return line in client.get("/metrics").text


def test_a_head_that_does_not_come_is_408(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hasty(monkeypatch, HEAD_SECONDS=0.3) as served, connect(served) as sock:
        sock.sendall(HALF)
        trickle = threading.Thread(target=drip, args=(sock, b"a", 4))
        trickle.start()
        answer = read_all(sock)
        trickle.join()
        assert statuses(answer) == [408]
        assert error_in(answer)["code"] == "timeout"
        assert metric(served, 'connections_ended_total{reason="head_timeout"} 1.0')
        assert metric(served, 'method="other",route="other",status="408"} 1.0')
    assert "head did not arrive" in caplog.text


def drip(sock: socket.socket, byte: bytes, times: int = 20) -> None:
    """Send a byte now and then, as long as the server takes it."""
    try:
        for _ in range(times):
            sock.sendall(byte)
            time.sleep(0.05)
    except OSError:
        return


def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with hasty(monkeypatch, HEAD_SECONDS=0.2) as served, connect(served) as sock:
        assert read_all(sock) == b""


def test_a_connection_is_kept_for_a_while_after_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with hasty(monkeypatch, IDLE_SECONDS=0.4, HEAD_SECONDS=0.2) as served:
        with connect(served) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.25)  # longer than a head may take
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert statuses(read_all(sock)) == [200, 200]
        with connect(served) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li")
            assert statuses(read_all(sock)) == [200, 408]


def test_a_client_that_never_reads_is_let_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with hasty(monkeypatch, ANSWER_SECONDS=0.5) as served, connect(served, buffer=2048) as sock:
        sock.sendall(ask * 400)
        until(lambda: metric(served, 'connections_ended_total{reason="answer_timeout"} 1.0'))
        with pytest.raises(OSError, match="reset"):
            while sock.recv(65536):
                time.sleep(0.001)
            raise ConnectionResetError("reset")  # what was in the buffers was all
    assert "did not read its answer" in caplog.text


def test_a_client_that_never_reads_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LAST_SECONDS", 0.3)
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        with serving() as served:
            sock = stack.enter_context(connect(served, buffer=2048))
            sock.sendall(ask * 400)
            slow = stack.enter_context(connect(served))
            slow.sendall(post(b"{", length=100))
            half = stack.enter_context(connect(served))
            half.sendall(HALF)
            time.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 5


def test_too_many_connections_close_the_longest_quiet(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    door = Doorman()
    monkeypatch.setattr("edgeguard.server.connection_limit.MOST", 8)
    with serving(door) as served, ExitStack() as stack:
        works = stack.enter_context(connect(served))
        works.sendall(post(b'{"prompt": "wait"}', "Connection: close"))
        assert door.arrived.wait(20)
        half = []
        for _ in range(40):
            half.append(stack.enter_context(connect(served)))
            half[-1].sendall(HALF)
        with served.client() as client:
            assert client.get("/health").status_code == 200
            assert "edgeguard_connections 8.0" in client.get("/metrics").text
        with pytest.raises(OSError):
            half[0].recv(1)
            raise ConnectionResetError
        door.open.set()
        assert statuses(read_all(works)) == [200]
    assert caplog.text.count("the most that are kept") == 1


def test_where_every_connection_is_busy_the_new_one_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = Doorman()
    monkeypatch.setattr("edgeguard.server.connection_limit.MOST", 4)
    with serving(door) as served, ExitStack() as stack:
        busy = [stack.enter_context(connect(served)) for _ in range(4)]
        for sock in busy:
            sock.sendall(post(b'{"prompt": "wait"}', "Connection: close"))
        until(lambda: served.worker.queue.in_flight == (4, 4))
        with connect(served) as late, pytest.raises(OSError):
            late.sendall(post())
            assert late.recv(1) == b""
            raise ConnectionResetError
        door.open.set()
        for sock in busy:
            assert statuses(read_all(sock)) == [200]


def test_files_run_out_and_the_server_says_so_and_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as served, ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(20)]
        next_file = stack.enter_context(socket.socket()).fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_file + 3, hard))
        try:
            for sock in clients:
                sock.connect(("127.0.0.1", int(served.url.rpartition(":")[2])))
            until(lambda: "no connection can be accepted" in caplog.text)
            started = time.process_time()
            time.sleep(0.5)
            assert time.process_time() - started < 0.25
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in clients:
            sock.close()
        with served.client() as client:
            assert client.get("/livez").status_code == 200
    assert caplog.text.count("no connection can be accepted") == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03" + bytes(50), 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (post(BODY, "Content-Length: 3"), 400),
        (post(b"", "Transfer-Encoding: gzip, chunked", length=None), 501),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000, 431),
        (post(b"", "Transfer-Encoding: chunked", length=None) + b"zz\r\n\r\n", 400),
    ],
    ids=["tls", "no host", "two hosts", "two lengths", "coding", "long", "chunk"],
)
def test_what_is_no_http_is_answered_in_openai_s_form_and_counted(
    served: Served, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeguard.server.observed")
    with connect(served) as sock:
        sock.sendall(request_)
        answer = read_all(sock)
        assert statuses(answer) == [status]
        error = error_in(answer)
        assert error["code"] == "invalid_http"
        assert f"x-request-id: {error['request_id']}".encode() in answer.lower()
        assert b"nosniff" in answer
        until(lambda: metric(served, f'method="other",route="other",status="{status}"}} '))
        assert not metric(served, 'status="499"')
    assert f"other other {status}" in caplog.text


def test_two_lengths_of_one_body_close_the_connection(served: Served) -> None:
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asked = post(chunked(BODY), "Transfer-Encoding: chunked", length=80)
    with connect(served) as sock:
        sock.sendall(asked + smuggled)
        answer = read_all(sock)
        assert statuses(answer) == [200]
        assert b"connection: close" in answer


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    with connect(served) as sock:
        asked = [post(), post(b"{"), post(BODY, "Connection: close")]
        sock.sendall(b"".join(asked))
        assert statuses(read_all(sock)) == [200, 400, 200]


def test_a_client_that_has_said_all_still_gets_its_answer() -> None:
    """As `nc -N` does: it closes its side, and reads."""
    door = Doorman()
    with serving(door) as served:
        with connect(served) as sock:
            sock.sendall(post(b'{"prompt": "wait"}'))
            sock.shutdown(socket.SHUT_WR)
            assert door.arrived.wait(20)
            time.sleep(0.2)
            door.open.set()
            assert statuses(read_all(sock))[-1] == 200
        with connect(served) as sock:
            sock.sendall(post() * 3)
            sock.shutdown(socket.SHUT_WR)
            answer = read_all(sock)
            assert [status for status in statuses(answer) if status != 100] == [200] * 3


@pytest.mark.parametrize("how", ["close", "reset", "pipelined"])
def test_a_client_that_leaves_frees_the_model_at_once(how: str) -> None:
    with serving(seconds=5.0) as served:
        sock = connect(served)
        sock.sendall(post(b'{"prompt": "long"}') * (2 if how == "pipelined" else 1))
        until(lambda: served.worker.queue.busy_seconds > 0.1)
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left = time.monotonic()
        sock.close()
        until(lambda: served.worker.queue.busy_seconds == 0)
        assert time.monotonic() - left < 2.5  # alone on a machine, 0.03 s; not freed, 5 s
        until(lambda: metric(served, 'route="/v1/guard",status="499"} 1.0'))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: evil.example"], 400),
        (["Content-Length: 99999999"], 413),
        (["Content-Length: 10", "Content-Encoding: gzip"], 415),
        (["Content-Length: 10"], 415),
        (["Content-Length: 10", "Origin: https://evil.example"], 403),
    ],
)
def test_a_client_that_waits_is_refused_before_it_sends(
    served: Served, headers: list[str], status: int
) -> None:
    head = ["POST /v1/guard HTTP/1.1", "Host: localhost", "Expect: 100-continue", *headers]
    with connect(served) as sock:
        started = time.monotonic()
        sock.sendall("\r\n".join([*head, "", ""]).encode())
        answer = read_all(sock)
        assert statuses(answer) == [status]
        assert time.monotonic() - started < 3


def test_a_client_that_waits_is_told_to_send(served: Served) -> None:
    with connect(served) as sock:
        head = post(b"", "Expect: 100-continue", "Connection: close", length=len(BODY))
        sock.sendall(head)
        assert statuses(read_head(sock)) == [100]
        sock.sendall(BODY)
        assert statuses(read_all(sock)) == [200]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "zstd"])
def test_a_compressed_body_is_415(served: Served, coding: str) -> None:
    with served.client() as client:
        answer = client.post("/v1/guard", json={}, headers={"content-encoding": coding})
        assert answer.status_code == 415
        plain = {"content-encoding": "identity"}
        assert client.post("/v1/guard", json={"prompt": "a"}, headers=plain).status_code == 200


def test_who_was_accepted_and_comes_in_only_when_the_server_stops_goes_at_once() -> None:
    with serving() as served, connect(served) as before:
        assert lives(before)
        served.server.lifespan.state["connection_limit"].close()
        with connect(served) as late:
            late.sendall(HALF)
            assert ends(late) < 5
        assert lives(before)


def lives(sock: socket.socket) -> bool:
    """Whether the server answers on this connection; it stays open."""
    sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b'"ok"}'):
        if not (piece := sock.recv(1 << 16)):
            return False
        answer += piece
    return answer.startswith(b"HTTP/1.1 200")


def ends(sock: socket.socket) -> float:
    """Seconds until the other side has ended it."""
    started = time.monotonic()
    with suppress(ConnectionResetError):
        while sock.recv(65536):
            pass
    return time.monotonic() - started


def test_an_answer_to_what_is_refused_is_read_although_more_was_sent(served: Served) -> None:
    for _ in range(20):
        with connect(served) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400_000)
            assert statuses(read_all(sock)) == [431]
