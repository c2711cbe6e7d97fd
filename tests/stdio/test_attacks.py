"""What a careless client does to a real child: it stays, and stays small.

tests/stdio/test_random_lines.py has the lines at random, test_orphan.py the ends of the parent.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from stdio_client import Child

CALM = "A calm sentence of some forty characters. "


def megabytes(child: Child) -> float:
    pages = int(Path(f"/proc/{child.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_streams_that_are_left_open_cost_little_and_are_bounded(child: Child) -> None:
    child.call("initialize")
    opened = [child.call("watch", messages=[], interval=10**6)["stream"] for _ in range(256)]
    before = megabytes(child)
    error = child.error(child.send("watch", messages=[]))
    assert error["data"]["exception"] == "InputError" and "256" in error["message"]
    for _ in range(20):
        fed = [child.send("feed", stream=name, piece=CALM) for name in opened[:50]]
        for id_ in fed:
            child.result(id_)
    assert megabytes(child) - before < 20
    child.call("end", stream=opened[0], judge=False)
    child.call("watch", messages=[])  # there is room again
    assert child.call("check", text="Hello")["severity"] == "Safe"


def test_memory_is_given_back_behind_the_checks_that_run(child: Child) -> None:
    child.call("initialize")
    many = [child.send("check", text=CALM * 300) for _ in range(2)]
    unload = child.send("unload")
    after = child.send("check", text="Hello")
    assert [child.result(id_)["severity"] for id_ in (*many, after)] == ["Safe"] * 3
    assert child.result(unload) == {}


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_the_end_comes_in_the_middle_of_a_load(pause: float, isolation: Path) -> None:
    """The first load of all, when a child tries llama.cpp too."""
    (isolation / "edgeguard" / "cache" / "trials").unlink()
    with Child() as child:
        child.call("policies")
        load = child.send("initialize")
        time.sleep(pause)
        end = child.send("shutdown")
        assert child.result(end) == {}
        answer = child.answer(load)
        assert "result" in answer or answer["error"]["data"]["exception"] == "CancelledError"
        assert child.wait() == 0


def test_a_load_is_cancelled_by_who_waits_and_by_who_began_it(isolation: Path) -> None:
    (isolation / "edgeguard" / "cache" / "trials").unlink()
    with Child() as child:
        first = child.send("initialize")
        second = child.send("check", text="Hello")
        late = child.send("check", text="Hello", timeout=0.001)
        assert child.call("cancel", id=second) == {"cancelled": True}
        assert child.error(second)["data"]["exception"] == "CancelledError"
        assert child.error(late)["data"]["exception"] == "TimeoutError"
        assert child.result(first)["protocol"] == 1
        assert child.call("check", text="Hello")["severity"] == "Safe"


@pytest.mark.slow
def test_a_storm_of_requests_is_answered_one_by_one(child: Child) -> None:
    """Checks, streams, cancels, unloads and noise at random; each request has one answer."""
    chance = random.Random(11)
    child.call("initialize")
    sent: list[int] = []
    noise = 0
    for _ in range(500):
        kind = chance.random()
        if kind < 0.4:
            sent.append(child.send("check", text=CALM * chance.choice([1, 1, 1, 1, 20])))
        elif kind < 0.6 and sent:
            cancel = b'{"jsonrpc":"2.0","method":"cancel","params":{"id":%d}}\n'
            child.raw(cancel % chance.choice(sent))
        elif kind < 0.7:
            child.raw(bytes(chance.choices(range(11, 256), k=chance.randrange(1, 500))) + b"\n")
            noise += 1
        elif kind < 0.75:
            sent.append(child.send("unload"))
        else:
            sent.append(child.send("feed", stream=f"stream-{chance.randrange(9)}", piece=CALM))
    answers = {id_: child.answer(id_) for id_ in sent}
    for _ in range(noise):
        assert child.error()["code"] in (-32700, -32600)
    codes = {answer["error"]["code"] for answer in answers.values() if "error" in answer}
    assert codes <= {-32000, -32001}, codes
    for answer in answers.values():
        if answer.get("result", {}).get("severity"):
            assert answer["result"]["severity"] == "Safe"
    assert child.call("check", text="Hello")["severity"] == "Safe"
