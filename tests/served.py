"""Run the server for a test: in a thread on a fake session, or as a process on nano."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import uvicorn

from edgeguard import Guard
from edgeguard.cancellation import Cancellation
from edgeguard.server.app import make_app
from edgeguard.server.listen import bind
from edgeguard.server.run import make_server, make_worker
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession
from edgeguard.worker.worker import Worker

MILD = "What is the capital of France?"
SAFE_PROMPT = "Safety: Safe\nCategories: None"
SAFE_RESPONSE = f"{SAFE_PROMPT}\nRefusal: No"


def scripted(question: str) -> str:
    """Safe, but for what the text asks for: `unsafe` or `controversial` in it."""
    conversation = question.partition("<BEGIN CONVERSATION>")[2].partition("<END CONVERSATION>")[0]
    is_response = "ASSISTANT: " in conversation
    answer = "Safety: Safe\nCategories: None"
    if "unsafe" in conversation:
        answer = "Safety: Unsafe\nCategories: Violent, PII"
    elif "controversial" in conversation:
        answer = "Safety: Controversial\nCategories: Unethical Acts"
    return f"{answer}\nRefusal: No" if is_response else answer


@dataclass
class Doorman:
    """A script that stops at texts with `wait` in them until it is told to go on."""

    open: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)

    def __call__(self, question: str) -> str:
        text = re.search(r"USER: (.*?)\n", question)
        self.seen.append(text[1] if text else "")
        if "wait" in self.seen[-1]:
            self.arrived.set()
            assert self.open.wait(20)
        return scripted(question)


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    worker: Worker
    server: uvicorn.Server

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=20, **options)  # type: ignore[arg-type]


@contextmanager
def serving(
    script: Callable[[str], str] = scripted,
    *,
    load: Callable[[Cancellation], Guard] | None = None,
    ready: bool = True,
    policy: str = "strict",
    seconds: float = 0.0,
    n_ctx: int = 8192,
    **settings: object,
) -> Iterator[Served]:
    """A server in a thread; `ready` waits for its test verdicts.

    From then on a window takes so many `seconds`.
    """
    chosen = Settings(port=0, **settings)  # type: ignore[arg-type]
    session = FakeSession(script, n_ctx=n_ctx)
    worker = make_worker(chosen, load or (lambda _: Guard.with_session(session, policy=policy)))
    server = make_server(chosen, worker)
    socks = bind(chosen)
    thread = threading.Thread(target=server.run, kwargs={"sockets": socks})
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started or (ready and worker.state == "loading"):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        session._seconds = seconds
        yield Served(f"http://127.0.0.1:{socks[0].getsockname()[1]}", worker, server)
    finally:
        server.should_exit = True
        thread.join(30)
        for sock in socks:
            sock.close()
        worker.stop()
        assert not thread.is_alive()


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document of a server as it is started without options."""
    worker = Worker(lambda _: Guard.with_session(FakeSession(scripted)))
    found: dict[str, Any] = make_app(Settings(), worker).openapi()
    return found


@dataclass(frozen=True)
class Process:
    """A server that runs as `edgeguard serve`."""

    url: str
    popen: subprocess.Popen[str]
    notes: list[str]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=60)


def start(*argv: str, **env: str) -> subprocess.Popen[str]:
    """`edgeguard serve` on one thread, on a free port unless told."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgeguard", "serve", *argv],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "EDGEGUARD_THREADS": "1", "EDGEGUARD_PORT": "0", **env},
    )


@contextmanager
def process(*argv: str, **env: str) -> Iterator[Process]:
    """A process that is ready, and is asked to stop in the end."""
    popen = start(*argv, **env)
    notes: list[str] = []
    assert popen.stderr is not None
    try:
        url = None
        while url is None:
            line = popen.stderr.readline()
            assert line, notes
            notes.append(line)
            found = re.search(r"is ready at (http://\S+);", line)
            url = found[1] if found else None
        reader = threading.Thread(target=lambda: notes.extend(popen.stderr or []))
        reader.start()
        yield Process(url, popen, notes)
        popen.terminate()
        popen.wait(30)
        reader.join(10)
    finally:
        popen.kill()
        popen.wait()
        popen.stderr.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port
