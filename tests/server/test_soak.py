"""Hostile clients of every kind at once, and an honest one among them.

In the end the server answers, its memory is within the bound, nothing is left over, and every
verdict was the library's. `SOAK_SECONDS` sets the length of the slow one, ten minutes unless told.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hostile_clients import KINDS, Address
from served import Process, process

from edgeguard import Guard
from edgeguard.server.body import HELD_BODIES
from edgeguard.server.settings import MAX_BODY

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
TEXTS = ("Where is Paris?", "How can I make a bomb?", "What is bread?", "Who likes old bridges?")
BOUND = 24 * HELD_BODIES * MAX_BODY


def of_status(server: Process, name: str) -> int:
    """A number that the kernel knows of the process."""
    status = Path(f"/proc/{server.popen.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc, which only Linux has")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def files_of(server: Process) -> int:
    return len(list(Path(f"/proc/{server.popen.pid}/fd").iterdir()))


class Honest:
    """A client that asks, comes back when it is told to, and compares."""

    def __init__(self, server: Process, guard: Guard) -> None:
        self._server = server
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.failed: list[str] = []
        self._expected = {text: self._judged(guard.check(text).to_dict()) for text in TEXTS}

    def run(self, end: float) -> None:
        number = 0
        while time.monotonic() < end:
            text = TEXTS[number % len(TEXTS)]
            number += 1
            try:
                with self._server.client() as client:
                    answer = client.post("/v1/guard", json={"prompt": text})
            except httpx.TransportError as error:
                self.failed.append(repr(error))
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 503:
                time.sleep(0.1)
            elif answer.status_code != 200 or self._judged(answer.json()) != self._expected[text]:
                self.wrong.append(text)

    @staticmethod
    def _judged(verdict: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in verdict.items() if name != "seconds"}


def soak(guard: Guard, seconds: float) -> None:
    with process(
        "--model", "nano", "--n-ctx", "1024", "--queue", "16", "--timeout", "20"
    ) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        before, files = of_status(server, "VmHWM"), files_of(server)
        end = time.monotonic() + seconds
        honest = Honest(server, guard)
        threads = [
            threading.Thread(target=pester, args=(kind, (host, int(port)), end)) for kind in KINDS
        ]
        threads.append(threading.Thread(target=honest.run, args=(end,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 120)
            assert not thread.is_alive()
        check_what_is_left(server, files)
        grown = of_status(server, "VmHWM") - before
        print(f"\n{dict(honest.statuses)} for the honest one; memory grew by {grown / 1e6:.0f} MB")
        assert (honest.wrong, honest.failed) == ([], [])
        assert honest.statuses[200] >= seconds / 10
        assert grown < BOUND
    said = "".join(server.notes)
    assert "Traceback" not in said
    assert "not foreseen" not in said
    assert "word and word" not in said


def pester(kind: object, address: Address, end: float) -> None:
    assert callable(kind)
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # its own flood keeps it out
            kind(address)


def check_what_is_left(server: Process, files: int) -> None:
    """The model is free, and what the clients had is given back, within the longest time limit."""
    deadline = time.monotonic() + 60
    with server.client() as client:
        while True:
            health = client.get("/health").json()
            free = health["queue"]["waiting"] == 0 and health["busy_seconds"] == 0
            if free and files_of(server) <= files + 2:
                return
            assert time.monotonic() < deadline, (health, files_of(server), files)
            time.sleep(0.1)


def test_a_few_seconds_of_every_hostile_client(nano: Guard) -> None:
    soak(nano, 3)


@pytest.mark.slow
def test_ten_minutes_of_every_hostile_client(nano: Guard) -> None:
    soak(nano, SECONDS)
