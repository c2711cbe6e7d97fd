"""Clients that mean no good, each a function that does its worst once and returns."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from raw_http import BODY, chunked, post

LONG = b'{"prompt": "%s"}' % (b"word and word " * 2000)
OBJECTS = b'{"prompt": "a", "metadata": [' + b"{}," * 300_000 + b"{}]}"
GET = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-"

Address = tuple[str, int]


@contextmanager
def connected(address: Address, buffer: int | None = None) -> Iterator[socket.socket]:
    """A connection that is closed in the end, whatever happens."""
    with socket.socket() as sock:
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(3)
        sock.connect(address)
        with suppress(OSError):
            yield sock


def drips(address: Address) -> None:
    """A head that comes byte by byte."""
    with connected(address) as sock:
        for byte in HALF + b"a: b\r\n" * 3:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)


def half_heads(address: Address) -> None:
    """Many heads that end in the middle."""
    socks = []
    for _ in range(30):
        with suppress(OSError):
            sock = socket.create_connection(address, timeout=3)
            socks.append(sock)
            sock.sendall(HALF)
    time.sleep(0.5)
    for sock in socks:
        sock.close()


def half_bodies(address: Address) -> None:
    """A body that stops coming."""
    with connected(address) as sock:
        sock.sendall(post(b"{", length=100_000))
        time.sleep(1)


def never_reads(address: Address) -> None:
    """Many questions, and no interest in an answer."""
    with connected(address, buffer=2048) as sock:
        sock.sendall(GET * 200)
        time.sleep(2)


def leaves(address: Address) -> None:
    """Gone in the middle of a window."""
    with connected(address) as sock:
        sock.sendall(post(LONG))
        time.sleep(random.uniform(0, 0.4))


def resets(address: Address) -> None:
    """Gone without a word."""
    with connected(address) as sock:
        sock.sendall(post(LONG))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(random.uniform(0, 0.2))


def half_closes(address: Address) -> None:
    """It says that it has said all, and leaves before the answer."""
    with connected(address) as sock:
        sock.sendall(post(LONG))
        sock.shutdown(socket.SHUT_WR)
        time.sleep(random.uniform(0, 0.3))


def pipelines(address: Address) -> None:
    """Many requests in one go, good and bad ones."""
    with connected(address) as sock:
        sock.sendall((post() + post(b"{") + GET + post(LONG)) * 5)
        sock.settimeout(1)
        while sock.recv(65536):
            pass


def huge_bodies(address: Address) -> None:
    """More than is taken, announced and not."""
    with connected(address) as sock:
        sock.sendall(post(b"a" * 3_000_000))
        sock.recv(65536)
    with connected(address) as sock:
        sock.sendall(
            post(chunked(*[b"a" * 1000] * 3000), "Transfer-Encoding: chunked", length=None)
        )
        sock.recv(65536)


def small_objects(address: Address) -> None:
    """A body that is small until it is parsed."""
    with connected(address) as sock:
        sock.sendall(post(OBJECTS))
        sock.recv(65536)


def broken(address: Address) -> None:
    """What is no JSON, and what is no HTTP."""
    for data in (
        post(b'{"prompt": "a'),
        post(b"[" * 100_000),
        post(random.randbytes(2000)),
        random.randbytes(2000),
        post(BODY, "Content-Length: 3"),
        post(b"", "Transfer-Encoding: chunked", length=None) + b"zz\r\n\r\n",
        b"GET /" + b"a" * 100_000,
    ):
        with connected(address) as sock:
            sock.sendall(data)
            sock.settimeout(0.5)
            sock.recv(65536)


def waits(address: Address) -> None:
    """Told to send, it does not."""
    with connected(address) as sock:
        sock.sendall(post(b"", "Expect: 100-continue", length=100_000))
        sock.recv(65536)
        time.sleep(0.5)


def floods(address: Address) -> None:
    """As many connections as it can, each with a question."""
    for _ in range(40):
        with connected(address) as sock:
            sock.sendall(post(BODY, "Connection: close"))


KINDS: tuple[Callable[[Address], None], ...] = (
    drips, half_heads, half_bodies, never_reads, leaves, resets, half_closes, pipelines,
    huge_bodies, small_objects, broken, waits, floods,
)  # fmt: skip
