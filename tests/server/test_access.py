"""Who may ask, from where, how much, and what happens at the edges of HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from served import MILD, Doorman, Served, serving

KEY = "a-key-of-the-test"
POST = {"content-type": "application/json"}
BODY = json.dumps({"prompt": MILD}).encode()


def error_of(answer: httpx.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    return error


@pytest.fixture(scope="module")
def locked() -> Iterator[httpx.Client]:
    with serving(api_key=KEY) as served, served.client() as client:
        yield client


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", f"Bearer {KEY}x", f"Basic {KEY}", KEY,
     f"Bearer {KEY[:-1]}", "Bearer \u00e9\u00e9"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/guard", "/v1/models", "/metrics", "/nowhere"])
def test_a_wrong_key_is_401(locked: httpx.Client, path: str, given: str | None) -> None:
    headers = {**POST, **({} if given is None else {"authorization": given.encode("latin-1")})}
    answer = locked.request("POST", path, content=BODY, headers=headers)  # type: ignore[arg-type]
    assert error_of(answer, 401)["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert KEY not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_right_key_opens(locked: httpx.Client, scheme: str) -> None:
    headers = {**POST, "authorization": f"{scheme} {KEY}"}
    assert locked.post("/v1/guard", content=BODY, headers=headers).status_code == 200
    assert locked.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/swagger-ui.css", "/openapi.json", "/health"])
def test_what_says_nothing_needs_no_key(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_a_key_lets_any_host_name_in(locked: httpx.Client) -> None:
    headers = {**POST, "authorization": f"Bearer {KEY}", "host": "guard.example"}
    assert locked.post("/v1/guard", content=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "10.0.0.1",
     "localhost.evil.example", "[::2]", "a b", "[", "[::1"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/v1/guard", "/health", "/metrics"])
def test_a_rebound_name_is_403(client: httpx.Client, path: str, host: str) -> None:
    assert error_of(client.get(path, headers={"host": host}), 403)["code"] == "foreign_host"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:9", "[::1]:80"]
)
def test_this_machine_by_any_name_is_served(client: httpx.Client, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "file://"]
)
def test_a_page_of_another_origin_is_403(client: httpx.Client, origin: str) -> None:
    for kind in ("application/json", "text/plain"):
        headers = {"content-type": kind, "origin": origin}
        answer = client.post("/v1/guard", content=BODY, headers=headers)
        assert error_of(answer, 403)["code"] == "foreign_origin"
        assert "access-control-allow-origin" not in answer.headers


def test_our_own_page_is_served(served: Served, client: httpx.Client) -> None:
    headers = {**POST, "origin": served.url}
    assert client.post("/v1/guard", content=BODY, headers=headers).status_code == 200


def test_cors_is_closed_unless_opened(served: Served) -> None:
    ask = {"origin": "https://app.example", "access-control-request-method": "POST"}
    with served.client() as client:
        assert client.options("/v1/guard", headers=ask).status_code == 403
    with serving(cors_origins=("https://app.example",)) as opened, opened.client() as client:
        preflight = client.options(
            "/v1/guard", headers={**ask, "access-control-request-headers": "authorization"}
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        answer = client.post("/v1/guard", json={}, headers={"origin": "https://app.example"})
        error_of(answer, 400)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        refused = client.post("/v1/guard", json={}, headers={"origin": "https://evil.example"})
        error_of(refused, 403)
        assert "access-control-allow-origin" not in refused.headers


def test_cors_with_a_key_shows_the_error(locked: httpx.Client) -> None:
    with serving(cors_origins=("*",), api_key=KEY) as opened, opened.client() as client:
        answer = client.post("/v1/guard", json={}, headers={"origin": "https://app.example"})
        error_of(answer, 401)
        assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in locked.get("/health").headers


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    with serving(max_body=2048) as served:
        yield served


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("size", [2049, 10_000, 200_000])
def test_a_body_over_the_limit_is_413(small: Served, size: int, method: str) -> None:
    body = json.dumps({"prompt": "a" * (size - 14)}).encode()
    assert len(body) == size
    with small.client() as client:
        assert (
            "2048" in error_of(client.post("/v1/guard", content=body, headers=POST), 413)["message"]
        )
        parts = (body[i : i + 500] for i in range(0, len(body), 500))
        error_of(client.request(method, "/v1/guard", content=parts, headers=POST), 413)


def test_a_body_of_just_the_limit_is_read(small: Served) -> None:
    body = json.dumps({"prompt": "a" * (2048 - 14)}).encode()
    with small.client() as client:
        assert client.post("/v1/guard", content=body, headers=POST).status_code == 200
        parts = iter([body[:1000], body[1000:]])
        assert client.post("/v1/guard", content=parts, headers=POST).status_code == 200


def test_a_body_that_never_ends_is_cut_off(small: Served) -> None:
    def forever() -> Iterator[bytes]:
        while True:
            yield b"a" * 4096

    with small.client() as client:
        try:
            answer = client.post("/v1/guard", content=forever(), headers=POST)
        except httpx.TransportError:  # it was still writing when the connection was closed
            return
        error_of(answer, 413)
        assert answer.headers["connection"] == "close"


def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.server.body.BODY_SECONDS", 0.2)
    with serving() as served, socket.create_connection(("127.0.0.1", port_of(served))) as sock:
        sock.sendall(request(b"{", length=100))
        assert b"408" in sock.recv(4096)


def judge(served: Served, text: str) -> httpx.Response:
    with served.client() as client:
        return client.post("/v1/guard", json={"prompt": text})


def port_of(served: Served) -> int:
    return int(served.url.rpartition(":")[2])


def request(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = (
        "POST /v1/guard HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_another_method_is_405(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/v1/guard")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    if method != "HEAD":
        assert "POST" in error_of(answer, 405)["message"]


def test_a_post_where_there_is_only_a_get_is_405(client: httpx.Client) -> None:
    error_of(client.post("/health", json={}), 405)


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/guard/", "/v1/completions", "/%00"])
def test_another_path_is_404(client: httpx.Client, path: str) -> None:
    error_of(client.get(path), 404)
    error_of(client.post(path, json={}), 404)


@pytest.mark.parametrize("name", ["x", "redoc.standalone.js", "..%2f__init__.py"])
def test_the_api_s_page_has_two_files_and_no_other(client: httpx.Client, name: str) -> None:
    error_of(client.get(f"/docs/{name}"), 404)


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/metrics", "/openapi.json"])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/models", "/nowhere"])
def test_every_answer_has_the_headers_of_caution(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_name_no_other_host(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    outside = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "http:" not in outside
    assert "https:" not in outside
    assert "style=" not in outside
    assert "onclick" not in outside


def test_a_full_queue_is_503_with_retry_after() -> None:
    door = Doorman()
    with serving(door, queue=1) as served, served.client() as client:
        threads = [
            threading.Thread(target=judge, args=(served, text)) for text in ("wait", "second")
        ]
        threads[0].start()
        assert door.arrived.wait(20)
        threads[1].start()
        until(lambda: served.worker.depth == 1)
        answer = client.post("/v1/guard", json={"prompt": "third"})
        assert error_of(answer, 503)["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) >= 1
        assert "edgeguard_queue_requests 1.0" in client.get("/metrics").text
        assert client.get("/health").status_code == 200
        door.open.set()
        for thread in threads:
            thread.join(20)
        assert client.post("/v1/guard", json={"prompt": "fourth"}).status_code == 200


def test_too_many_bodies_at_once_are_503() -> None:
    door = Doorman()
    with serving(door, queue=1) as served, served.client() as client:
        socks = [socket.create_connection(("127.0.0.1", port_of(served))) for _ in range(4)]
        try:
            for sock in socks:
                sock.sendall(request(b"{", length=100))
            until(lambda: client.post("/v1/guard", json={"prompt": "a"}).status_code == 503)
        finally:
            for sock in socks:
                sock.close()
        until(lambda: client.post("/v1/guard", json={"prompt": "a"}).status_code == 200)


def test_a_client_that_leaves_frees_its_place_and_is_not_computed() -> None:
    door = Doorman()
    with serving(door, queue=1) as served, served.client() as client:
        first = threading.Thread(target=judge, args=(served, "wait"))
        first.start()
        assert door.arrived.wait(20)
        with socket.create_connection(("127.0.0.1", port_of(served))) as leaves:
            leaves.sendall(request(b'{"prompt": "left"}'))
            until(lambda: served.worker.depth == 1)
        until(lambda: served.worker.depth == 0)
        door.open.set()
        first.join(20)
        assert client.post("/v1/guard", json={"prompt": "stays"}).status_code == 200
        assert 'status="499"} 1.0' in client.get("/metrics").text
    assert "left" not in door.seen


def test_a_client_that_leaves_while_it_is_judged_breaks_nothing() -> None:
    door = Doorman()
    with serving(door) as served, served.client() as client:
        with socket.create_connection(("127.0.0.1", port_of(served))) as leaves:
            leaves.sendall(request(b'{"prompt": "wait"}'))
            assert door.arrived.wait(20)
        door.open.set()
        assert client.post("/v1/guard", json={"prompt": "stays"}).status_code == 200


def test_stopping_finishes_what_runs_and_what_waits() -> None:
    door = Doorman()
    answers: list[httpx.Response] = []

    def ask(served: Served, text: str) -> None:
        answers.append(judge(served, text))

    with serving(door) as served:
        threads = [threading.Thread(target=ask, args=(served, "wait"))]
        threads[0].start()
        assert door.arrived.wait(20)
        threads.append(threading.Thread(target=ask, args=(served, "waits too")))
        threads[1].start()
        until(lambda: served.worker.depth == 1)
        served.server.should_exit = True
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError), served.client() as late:
            late.get("/health")
        door.open.set()
        for thread in threads:
            thread.join(20)
    assert [answer.status_code for answer in answers] == [200, 200]


def test_no_text_is_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    secret = "zebra-crossing"

    def script(question: str) -> str:
        if "bug" in question:
            raise RuntimeError(f"a bug that quotes {question}")
        return "Safety: Safe\nCategories: None"

    caplog.set_level(logging.DEBUG)
    with serving(script) as served, served.client() as client:
        for body in (
            {"prompt": secret},
            {"prompt": 1, secret: secret},
            {"prompt": f"{secret} bug"},
        ):
            client.post("/v1/guard", json=body)
        client.post("/v1/guard", content=f'{{"prompt": "{secret}', headers=POST)
        client.get(f"/{secret}", params={"prompt": secret})
        answer = client.post("/v1/guard", json={"prompt": f"{secret} bug"})
    assert error_of(answer, 500)["code"] == "bug"
    ours = [
        r for r in caplog.records if r.name.partition(".")[0] in ("edgeguard", "uvicorn", "asyncio")
    ]
    assert any("RuntimeError" in record.getMessage() for record in ours)
    for record in ours:
        assert secret not in logging.Formatter().format(record)


def until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
