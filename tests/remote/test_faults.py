"""What goes wrong between here and a server: each an error that says so, and never a verdict."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from guard_servers import ASKS, KINDS, Changing, GuardServer, Handler, guard_server

from edgeguard import (
    AsyncGuard,
    Cancellation,
    CancelledError,
    ClosedError,
    Guard,
    InputError,
    SessionError,
    Verdict,
)
from edgeguard.errors import TimeoutError as TimeError
from edgeguard.remote import connection

MILD = "What is the capital of France?"
SECRET = "the-text-that-is-judged"
KEY = "sk-not-to-be-seen-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[GuardServer]:
    """For what does not depend on the kind."""
    with guard_server("vllm") as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def any_server(request: pytest.FixtureRequest) -> Iterator[GuardServer]:
    with guard_server(request.param) as found:
        yield found


@pytest.fixture
def guard(server: GuardServer) -> Iterator[Guard]:
    yield from guard_on(server)


@pytest.fixture
def any_guard(any_server: GuardServer) -> Iterator[Guard]:
    yield from guard_on(any_server)


def guard_on(server: GuardServer) -> Iterator[Guard]:
    server.instead = server.change = None
    with Guard(server.url) as found:
        yield found
        server.instead = server.change = None
        assert found.check(MILD).severity == "Safe"  # whatever was wrong, it goes on


def no_server() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def cut(handler: Handler, path: str) -> bool:
    """Half of an answer, and the end of the connection."""
    if path not in ASKS:
        return False
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"index": 0, "text"')
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def silent(handler: Handler, path: str) -> bool:
    """No answer at all, and the end of the connection."""
    if path not in ASKS:
        return False
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def replying(status: int, said: object, **headers: str) -> Any:
    """An answer of its own to whatever is asked of the model."""

    def instead(handler: Handler, path: str) -> bool:
        if path not in ASKS:
            return False
        handler.reply(status, said, **headers)
        return True

    return instead


ANSWERS = {
    "cut": (cut, "before its answer was whole"),
    "silent": (silent, "before its answer was whole"),
    "an error that quotes": (replying(400, {"error": {"message": SECRET}}), "with status 400"),
    "overloaded": (replying(503, {"error": "busy"}), "has too much to do"),
    "failed": (replying(500, b"<html>Internal Server Error</html>"), "with status 500"),
    "a wrong key": (replying(401, {"error": "Unauthorized"}), "EDGEGUARD_MODEL_KEY"),
    "another path": (replying(404, {"detail": "Not Found"}), "give the address"),
    "a redirect": (replying(307, {}, location="http://elsewhere/v1"), "another address"),
    "no JSON": (replying(200, b"Safety: Safe\nCategories: None"), "not JSON"),
    "half a JSON": (replying(200, b'{"choices": ['), "not JSON"),
    "NaN": (replying(200, b'{"a": NaN}'), "NaN"),
    "a name twice": (replying(200, b'{"a": 1, "a": 2}'), "twice"),
    "not UTF-8": (replying(200, b'{"a": "\xff"}'), "not UTF-8"),
    "an empty body": (replying(200, b""), "not JSON"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_that_are_none(guard: Guard, server: GuardServer, name: str) -> None:
    server.instead, said = ANSWERS[name]
    with pytest.raises(SessionError, match=said) as caught:
        guard.check(f"{MILD} {SECRET}")
    assert SECRET not in str(caught.value)


def changed(name: str) -> Changing:
    """An answer whose log probabilities are something else."""

    def change(path: str, said: Any) -> Any:
        if path not in ASKS:
            return said
        if name == "count":
            text = json.dumps(said)
            for key in ("prompt_tokens", "tokens_evaluated"):
                text = text.replace(f'"{key}": ', f'"{key}": 1')
            return json.loads(text)
        return walked(said, name)

    return change


def walked(said: Any, name: str) -> Any:
    """Every log probability replaced, in whichever shape."""
    if isinstance(said, dict):
        return {
            key: lost(value, name) if key in LISTS else walked(value, name)
            for key, value in said.items()
        }
    return [walked(one, name) for one in said] if isinstance(said, list) else said


LISTS = ("top_logprobs", "output_token_ids_logprobs")
VALUES = {"logits": 21.5, "text": "-0.1", "null": None, "true": True}


def lost(value: Any, name: str) -> Any:
    if name == "none":
        return [{}] if isinstance(value[0], dict) and "id" not in value[0] else [[]]
    if name == "absent":
        return None
    if isinstance(value, list):
        return [lost(one, name) for one in value]
    if isinstance(value, dict):
        return {key: lost(one, name) if key != "id" else one for key, one in value.items()}
    return VALUES[name] if isinstance(value, float) else value


@pytest.mark.parametrize("name", ["count", "none", "absent", *VALUES])
def test_log_probabilities_that_are_none(
    any_guard: Guard, any_server: GuardServer, name: str
) -> None:
    any_server.change = changed(name)
    with pytest.raises(SessionError):
        any_guard.check(MILD)


@pytest.mark.parametrize("said", [{}, [], 1, None])
def test_answers_of_another_form(any_guard: Guard, any_server: GuardServer, said: object) -> None:
    any_server.instead = replying(200, said)
    with pytest.raises(SessionError, match="where it belongs"):
        any_guard.check(MILD)


def test_no_server_is_there() -> None:
    with pytest.raises(SessionError, match="cannot be reached"):
        Guard(no_server())


def test_a_server_that_dies_in_the_middle(server: GuardServer) -> None:
    """Of a run: the rest are errors, and none of them is a verdict."""
    asked = 0

    def instead(handler: Handler, path: str) -> bool:
        nonlocal asked
        asked += path in ASKS
        return asked > 12 and silent(handler, path)

    with Guard(server.url) as guard:
        server.instead = instead
        found: list[object] = []
        with pytest.raises(SessionError):
            found.extend(guard.check_many([f"{MILD} {n}" for n in range(30)]))
        server.instead = None
    assert 0 < len(found) < 30
    assert all(isinstance(one, Verdict) for one in found)


def test_many_at_once_and_a_server_that_dies(server: GuardServer) -> None:
    with Guard(server.url) as guard:
        server.instead = silent
        with pytest.raises(SessionError):
            list(guard.check_many([f"{MILD} {n}" for n in range(8)], exact=False))
        server.instead = None
        assert guard.check(MILD).severity == "Safe"


def waiting(handler: Handler, path: str) -> bool:
    """No answer until the client has left."""
    if path not in ASKS:
        return False
    handler.connection.settimeout(10)
    handler.close_connection = True
    with suppress(OSError):
        handler.connection.recv(1)
    return True


def test_a_time_limit(guard: Guard, server: GuardServer) -> None:
    server.instead = waiting
    started = time.monotonic()
    with pytest.raises(TimeError):
        guard.check(MILD, timeout=0.3)
    assert time.monotonic() - started < 5
    wait_until(lambda: server.at_once == 0)


def test_a_cancelled_check_leaves_the_server(guard: Guard, server: GuardServer) -> None:
    server.instead = waiting
    cancel = Cancellation()
    threading.Timer(0.3, cancel.cancel).start()
    with pytest.raises(CancelledError):
        guard.check(MILD, cancel=cancel)
    wait_until(lambda: server.at_once == 0)


def test_a_server_that_takes_too_long(
    guard: Guard, server: GuardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SECONDS", 0.5)
    with Guard(server.url) as other:
        server.instead = waiting
        with pytest.raises(SessionError, match="did not answer within"):
            other.check(MILD)
    assert guard.model.name == "nano"


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_connection_that_was_closed_while_idle(guard: Guard, server: GuardServer) -> None:
    """As servers do after some seconds: the question is sent again, and answered."""
    failed: list[str] = []

    def instead(handler: Handler, path: str) -> bool:
        if failed or path not in ASKS:
            return False
        failed.append(path)
        return silent(handler, path)

    server.instead = instead
    assert guard.check(MILD).severity == "Safe"
    assert failed


def test_a_body_without_an_end(
    guard: Guard, server: GuardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.instead = replying(200, b" " * 5000)
    with monkeypatch.context() as patched:
        patched.setattr(connection, "_MOST", 1000)
        with pytest.raises(SessionError, match="far too long"):
            guard.check(MILD)


def test_keys(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with guard_server("vllm") as server:
        server.key = KEY
        monkeypatch.setenv("EDGEGUARD_MODEL_KEY", "another")
        with pytest.raises(SessionError, match="EDGEGUARD_MODEL_KEY"):
            Guard(server.url)
        monkeypatch.setenv("EDGEGUARD_MODEL_KEY", KEY)
        with Guard(server.url) as guard:
            assert guard.check(MILD).severity == "Safe"
            assert KEY not in repr(vars(guard)) + guard.check(MILD).to_json()
        server.instead = replying(400, {"error": {"message": f"the key {KEY} is odd"}})
        with pytest.raises(SessionError) as caught:
            Guard(server.url)
    assert KEY not in str(caught.value)
    assert "[key]" in str(caught.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:pass-word@host/v1", "EDGEGUARD_MODEL_KEY"),
        ("http://", "has the form"),
        ("http://host:99999/v1", "no URL"),
        ("http://host/v1?key=1", "has the form"),
        ("http://host/v1/chat/completions", "leave that out"),
        ("http://[::1/v1", "no URL"),
    ],
)
def test_addresses(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Guard(url)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "line\nbreak"])
def test_keys_that_are_none(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGUARD_MODEL_KEY", key)
    with pytest.raises(InputError, match="EDGEGUARD_MODEL_KEY"):
        Guard("http://127.0.0.1:1/v1")


def test_the_form_of_an_address_does_not_matter(server: GuardServer) -> None:
    root = server.url.removesuffix("/v1")
    for url in (root, f"{root}/", f"{root}/v1/", root.replace("http", "HTTP")):
        with Guard(url) as guard:
            assert guard.model.name == "nano"


def test_a_closed_guard(server: GuardServer) -> None:
    with Guard(server.url) as guard:
        pass
    with pytest.raises(ClosedError):
        guard.check(MILD)


async def in_an_event_loop(url: str) -> str:
    async with AsyncGuard(url) as guard:
        return (await guard.check(MILD)).severity


def test_in_an_event_loop(server: GuardServer) -> None:
    import asyncio

    assert asyncio.run(in_an_event_loop(server.url)) == "Safe"


def test_given_back_when_idle(server: GuardServer) -> None:
    with Guard(server.url, idle_unload=0.1) as guard:
        assert guard.check(MILD).severity == "Safe"
        wait_until(lambda: not guard.is_loaded)
        assert guard.check(MILD).severity == "Safe"
