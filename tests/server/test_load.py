"""Many clients at once on the real server: nothing is lost, and every answer is the library's."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Process, process, start

from edgeguard import Guard

OPENINGS = ("What is", "Who likes", "How do I make", "Where is")
TOPICS = ("bread", "a bomb", "Paris", "the weather", "喫茶店", "a very old bridge")
TEXTS = [f"{opening} {topic}?" for opening in OPENINGS for topic in TOPICS]


@dataclass
class Crowd:
    """Clients that ask, each the next text, until they are told to stop."""

    url: str
    expected: dict[str, dict[str, Any]]
    exact: bool = False
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, clients: int, more: Callable[[], bool]) -> None:
        threads = [threading.Thread(target=self._ask, args=(i, more)) for i in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, number: int, more: Callable[[], bool]) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=120) as client:
            while more():
                text = TEXTS[number % len(TEXTS)]
                number += 7
                try:
                    answer = client.post("/v1/guard", json={"prompt": text})
                except httpx.TransportError as error:
                    self.errors.append(repr(error))
                    continue
                with self.lock:
                    self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    found, known = judged(answer.json()), self.expected[text]
                    if not (found == known if self.exact else alike(found, known)):
                        self.wrong.append(text)


def judged(verdict: dict[str, Any]) -> dict[str, Any]:
    """A verdict without the time that it took."""
    return {name: value for name, value in verdict.items() if name != "seconds"}


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two verdicts differ in late digits at most: texts that wait share passes."""
    shares = zip(one["probabilities"].values(), other["probabilities"].values())
    return all(abs(a - b) < 0.02 for a, b in shares) and all(
        one[name] == other[name] for name in other if name != "probabilities"
    )


@pytest.fixture(scope="module")
def expected(nano: Guard) -> dict[str, dict[str, Any]]:
    return {text: judged(nano.check(text).to_dict()) for text in TEXTS}


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def test_sixteen_clients_lose_nothing(
    nano_server: Process, expected: dict[str, dict[str, Any]]
) -> None:
    crowd = Crowd(nano_server.url, expected)
    crowd.run(16, for_seconds(2))
    assert set(crowd.statuses) == {200}
    assert crowd.statuses[200] > 16
    assert (crowd.wrong, crowd.errors) == ([], [])


def test_exact_verdicts_have_the_bits_of_the_library(expected: dict[str, dict[str, Any]]) -> None:
    with process("--model", "nano", "--exact") as server:
        crowd = Crowd(server.url, expected, exact=True)
        crowd.run(8, for_seconds(1))
    assert set(crowd.statuses) == {200}
    assert (crowd.wrong, crowd.errors) == ([], [])


@pytest.mark.slow
def test_sixty_four_clients_for_a_minute_lose_nothing(
    nano_server: Process, expected: dict[str, dict[str, Any]]
) -> None:
    crowd = Crowd(nano_server.url, expected)
    crowd.run(64, for_seconds(60))
    print(f"\n{crowd.statuses[200]} verdicts in a minute")
    assert set(crowd.statuses) == {200}
    assert (crowd.wrong, crowd.errors) == ([], [])


def resident(pid: int) -> int:
    """Bytes of memory that a process has, from the kernel."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc, which only Linux has")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_requests(expected: dict[str, dict[str, Any]]) -> None:
    """After the first 1,000, in which buffers and the allocator grow to what they need."""
    with process("--model", "nano") as server:
        crowd = Crowd(server.url, expected)
        sizes = []
        for total in range(1_000, 11_001, 1_000):
            crowd.run(8, lambda total=total: sum(crowd.statuses.values()) < total)  # type: ignore[misc]
            sizes.append(resident(server.popen.pid))
        print("\nMB after each 1,000:", ", ".join(f"{size / 1e6:.1f}" for size in sizes))
        assert set(crowd.statuses) == {200}
        assert (crowd.wrong, crowd.errors) == ([], [])
        assert sizes[-1] - sizes[0] < 4e6


@pytest.mark.slow
def test_killed_at_any_moment_it_starts_again(expected: dict[str, dict[str, Any]]) -> None:
    """kill -9 during the load, at 20 moments; then under load; then it serves on the same port."""
    with process("--model", "nano") as first:
        port = first.url.rpartition(":")[2]
    for step in range(20):
        popen = start("--model", "nano", "--port", port)
        time.sleep(step * 0.1)
        popen.kill()
        popen.wait()
        assert popen.stderr is not None
        popen.stderr.close()
    for _ in range(3):
        with process("--model", "nano", "--port", port) as server:
            crowd = Crowd(server.url, expected)
            killer = threading.Timer(1.0, os.kill, (server.popen.pid, signal.SIGKILL))
            killer.start()
            crowd.run(8, lambda c=crowd: not c.errors)  # type: ignore[misc]
            killer.join()
            assert crowd.wrong == []
    with process("--model", "nano", "--port", port) as server:
        crowd = Crowd(server.url, expected)
        crowd.run(8, for_seconds(1))
        assert set(crowd.statuses) == {200}
        assert crowd.errors == []
