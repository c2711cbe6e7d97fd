"""HTTP by hand, for what no client library sends."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

from served import MILD, Served

BODY = json.dumps({"prompt": MILD}).encode()


def connect(served: Served, *, buffer: int | None = None) -> socket.socket:
    """A connection; `buffer` is how many bytes the client's side takes before it is read."""
    host, _, port = served.url.removeprefix("http://").rpartition(":")
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(20)
    sock.connect((host, int(port)))
    return sock


def post(
    body: bytes = BODY, *headers: str, length: int | None = -1, path: str = "/v1/guard"
) -> bytes:
    """A request; -1 takes the body's length, None sends none."""
    size = len(body) if length == -1 else length
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    if size is not None:
        lines.append(f"Content-Length: {size}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*parts: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def read_all(sock: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while part := sock.recv(65536):
        found += part
    return found


def read_head(sock: socket.socket) -> bytes:
    """One head, and what came with it."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = sock.recv(65536)
        assert part, found
        found += part
    return found


def statuses(answer: bytes) -> list[int]:
    """The status of each answer on a connection."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def error_in(answer: bytes) -> dict[str, str]:
    """The error of an answer."""
    found: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return found


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
