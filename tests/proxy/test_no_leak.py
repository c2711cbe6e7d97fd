"""No character past the last verdict reaches a client: whatever comes, however it is cut or killed.

The session finds unsafe every text with the mark in it. A client reads the raw bytes as they come,
so that what a client's library would not show counts too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proxied import proxying
from served import Served, scripted
from upstream import Upstream, chat_events, half_characters, message_events, response_events, stream

WORDS = st.sampled_from(
    [
        "A ",
        "dog. ",
        "swims\n",
        "far away. ",
        "海。",
        "Möpschen ",
        "🐕",
        "!",
        "\u0301",
        "  ",
        "x" * 90,
    ]
)
STREAMS = {
    "/v1/chat/completions": chat_events,
    "/v1/messages": message_events,
    "/v1/responses": response_events,
}
ASKED = {
    "model": "m",
    "messages": [{"role": "user", "content": "Tell me a story."}],
    "stream": True,
}


def asked(path: str) -> dict[str, object]:
    if path != "/v1/responses":
        return ASKED
    return {"model": "m", "input": "Tell me a story.", "stream": True}


def shown(body: str) -> str:
    """Every text in a stream, but for names and the refusal."""
    found = ""
    for line in body.splitlines():
        if not line.startswith("data: {"):
            continue
        value = json.loads(line[6:])
        for choice in value.get("choices", ()):
            found += choice["delta"].get("content") or ""
        delta = value.get("delta")
        found += delta if isinstance(delta, str) else (delta or {}).get("text", "")
    return found


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    before=st.lists(WORDS, max_size=12),
    after=st.lists(WORDS, max_size=6),
    path=st.sampled_from(sorted(STREAMS)),
    size=st.integers(1, 400),
    by_characters=st.booleans(),
)
def test_any_stream(
    proxy: Served,
    model: Upstream,
    before: list[str],
    after: list[str],
    path: str,
    size: int,
    by_characters: bool,
) -> None:
    pieces = [*before, "an unsafe thing. ", *after]
    if by_characters:
        pieces = list("".join(pieces))
    parts = STREAMS[path](pieces)
    model.reply = lambda _path, _body: stream(half_characters(parts, size))
    with proxy.client() as client:
        body = client.post(path, json=asked(path)).text
    text = shown(body)
    assert "unsafe" not in body
    told = "This cannot be shown"
    assert told in text
    assert "".join(pieces).startswith(text.partition(told)[0].removesuffix("\n\n"))


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    pieces=st.lists(WORDS, min_size=1, max_size=16),
    path=st.sampled_from(sorted(STREAMS)),
    size=st.integers(1, 400),
)
def test_any_harmless_stream_comes_whole(
    proxy: Served, model: Upstream, pieces: list[str], path: str, size: int
) -> None:
    pieces = ["So: ", *pieces]
    parts = STREAMS[path](pieces)
    model.reply = lambda _path, _body: stream(half_characters(parts, size))
    with proxy.client() as client:
        body = client.post(path, json=asked(path)).text
    assert shown(body) == "".join(pieces)
    sent = b"".join(parts).decode()
    assert set(filter(None, body.splitlines())) >= {
        line for line in sent.splitlines() if "delta" not in line and line
    }


def test_nothing_before_its_verdict(model: Upstream) -> None:
    """What has reached the client is at no time more than what was judged by then."""
    judged: list[int] = [0]

    def script(question: str) -> str:
        conversation = question.partition("<BEGIN CONVERSATION>")[2]
        text = conversation.partition("ASSISTANT: ")[2].partition("\n\n<END CONVERSATION>")[0]
        time.sleep(0.01)
        judged[0] = max(judged[0], len(text))
        return scripted(question)

    pieces = [f"Sentence number {n} is a mild one. " for n in range(30)]
    model.reply = lambda _path, _body: stream(chat_events(pieces), pause=0.004)
    with proxying(model.url, script) as served, served.client() as client:
        text = ""
        with client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
            for line in answer.iter_lines():
                text += shown(line)
                assert len(text) <= judged[0]
    assert text == "".join(pieces)


@pytest.mark.parametrize("seed", range(6))
def test_an_upstream_that_dies(proxy: Served, model: Upstream, seed: int) -> None:
    chance = random.Random(seed)
    parts = chat_events(["A mild start. ", "Then more of it. ", "Then an unsafe thing. ", "End. "])
    body = b"".join(parts)
    end = chance.randrange(len(body))
    model.reply = lambda _path, _body: stream([body[:end]])
    with proxy.client() as client:
        answer = client.post("/v1/chat/completions", json=ASKED).text
    assert "unsafe" not in answer
    assert "upstream_cut" in answer or "content_filter" in answer


@pytest.mark.parametrize("seed", range(6))
def test_a_client_that_leaves(model: Upstream, seed: int) -> None:
    """The upstream is let go, and the proxy goes on."""
    chance = random.Random(seed)

    model.cut.clear()
    model.reply = lambda _path, _body: _endless(model)
    with proxying(model.url, seconds=0.005) as served:
        with (
            served.client() as client,
            suppress(httpx.HTTPError),
            client.stream("POST", "/v1/chat/completions", json=ASKED) as answer,
        ):
            end = time.monotonic() + chance.random() * 0.4
            for _ in answer.iter_bytes():
                if time.monotonic() > end:
                    break
        assert model.cut.wait(10)
        model.reply = lambda _path, _body: stream(chat_events(["Mild."]))
        with served.client() as client:
            assert shown(client.post("/v1/chat/completions", json=ASKED).text) == "Mild."


def _endless(model: Upstream) -> Iterator[bytes]:
    yield from stream(chat_events([])[:1])
    while not model.cut.is_set():
        yield chat_events(["A mild sentence that goes on. "])[1]
        time.sleep(0.002)


@pytest.mark.parametrize("seed", range(3))
def test_a_proxy_that_is_killed(model: Upstream, seed: int) -> None:
    """With nano, as a process: what the client has got ends before the harm."""
    chance = random.Random(seed)
    model.reply = lambda _path, _body: stream(
        chat_events([*["The dog went for a walk. "] * 20, *["I will kill you with a bomb. "] * 9]),
        pause=0.002,
    )
    env = {**os.environ, "EDGEGUARD_THREADS": "1"}
    command = [sys.executable, "-m", "edgeguard", "proxy", "--model", "nano", "--port", "0"]
    popen = subprocess.Popen(
        [*command, "--upstream", model.url], stderr=subprocess.PIPE, text=True, env=env
    )
    assert popen.stderr is not None
    try:
        url = ""
        while "is ready at" not in url:
            url = popen.stderr.readline()
            assert url
        url = url.partition("is ready at ")[2].partition(": give")[0]
        killer = threading.Timer(
            chance.random() * 0.5,
            popen.send_signal,
            [chance.choice([signal.SIGKILL, signal.SIGTERM])],
        )
        body = ""
        killer.start()
        with (
            httpx.Client(trust_env=False) as client,
            suppress(httpx.HTTPError),
            client.stream("POST", f"{url}/v1/chat/completions", json=ASKED) as answer,
        ):
            for part in answer.iter_text():
                body += part
        killer.join()
        assert "bomb" not in body
    finally:
        popen.kill()
        popen.wait()
        popen.stderr.close()


def test_a_client_that_reads_nothing(proxy: Served, model: Upstream) -> None:
    """It holds nobody up."""
    model.reply = lambda _path, _body: stream(chat_events(["A mild one. "] * 200))
    address = proxy.url.removeprefix("http://").split(":")
    body = json.dumps(ASKED).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address[0], int(address[1]))) as quiet:
        quiet.sendall(head.encode() + body)
        with proxy.client() as client:
            assert (
                shown(client.post("/v1/chat/completions", json=ASKED).text) == "A mild one. " * 200
            )
