"""What a server's memory grows to under bodies that are made to fill it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import MILD, Process, process

from edgeguard.server import json_body
from edgeguard.server.body import HELD_BODIES
from edgeguard.server.http_errors import HttpError
from edgeguard.server.json_body import MAX_VALUES, parse
from edgeguard.server.settings import MAX_BODY

BOUND = 24 * HELD_BODIES * MAX_BODY
POST = {"content-type": "application/json"}


def peak(pid: int) -> int:
    """The most bytes of memory that a process ever had."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc, which only Linux has")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with process("--model", "nano") as found:
        yield found


def chat(metadata: str, text: str = MILD) -> bytes:
    message = json.dumps({"role": "user", "content": text}, ensure_ascii=False)
    return f'{{"messages": [{message}], "metadata": {{{metadata}}}}}'.encode()


BODIES = {
    "small objects": chat('"a": [' + "{}," * 340_000 + "{}]"),
    "names": chat(",".join(f'"name {i}": []' for i in range(MAX_VALUES // 2 - 20))),
    "text": chat("", "word and word " * 74_000 + "\U0001f600"),
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name, marks=[pytest.mark.slow] if name == "names" else [])
        for name, body in BODIES.items()
    ],
)
def test_forty_bodies_of_a_megabyte(server: Process, body: bytes) -> None:
    before = peak(server.popen.pid)
    found: Counter[object] = Counter()
    slowest = 0.0

    def ask() -> None:
        try:
            answer = httpx.post(
                f"{server.url}/v1/chat/completions", content=body, headers=POST, timeout=1.5,
                trust_env=False,
            )  # fmt: skip
            found[answer.status_code] += 1
        except httpx.TransportError:
            found["left"] += 1

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    with server.client() as client:
        while any(thread.is_alive() for thread in threads):
            started = time.monotonic()
            assert client.get("/livez").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.05)
        assert client.post("/v1/guard", json={"prompt": MILD}).json()["severity"] == "Safe"
    assert set(found) <= {200, 400, 503, "left"}
    assert peak(server.popen.pid) - before < BOUND
    assert slowest < 5


def test_a_body_is_counted_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object) -> object:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json_body, "parse_json", never)
    nested = chat('"a": ' + "[" * 500_000 + "]" * 500_000)
    deep = chat('"a": ' + "[" * 64 + "]" * 64)
    for body in (BODIES["small objects"], nested, deep):
        with pytest.raises(HttpError) as refused:
            parse(body)
        assert refused.value.status == 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('ab"\\[]{},:é', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=30,
)


def values_in(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values_in, inner))


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, (dict, list)) else 0


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_the_count_is_right_whatever_stands_in_strings(value: object, ascii_: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_).encode()
    values, depth = values_in(value), depth_of(value)
    for most, deepest, fits in (
        (2 * values + 2, depth, True),
        ((values - 1) // 2, depth, not isinstance(value, (dict, list))),
        (2 * values + 2, depth - 1, depth < 1),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_body, "MAX_VALUES", max(most, 1))
            patch.setattr(json_body, "MAX_DEPTH", deepest)
            assert accepted(body) is fits, (most, deepest)


def accepted(body: bytes) -> bool:
    try:
        json_body._check_amount(body)
    except HttpError:
        return False
    return True
