"""What may pass, what is refused, and what becomes of failures; over plain HTTP."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from proxied import proxying
from served import Served, scripted
from upstream import Upstream, chat_events, chat_whole, sse, stream, whole

MILD = [{"role": "user", "content": "Tell me a story."}]
CHAT = "/v1/chat/completions"


@pytest.fixture
def client(proxy: Served) -> Iterator[httpx.Client]:
    with proxy.client() as found:
        yield found


def ask(client: httpx.Client, messages: object = MILD, **more: object) -> httpx.Response:
    return client.post(CHAT, json={"model": "m", "messages": messages, **more})


def failing(question: str) -> str:
    """A model that cannot judge what says so."""
    return "What?" if "broken" in question else scripted(question)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, IMAGE]}]},
        {"messages": []},
        {"messages": "Tell me"},
        {"messages": MILD, "n": 2},
        {"messages": MILD, "conversation": "conv_1"},
        {},
    ],
)
def test_what_cannot_be_judged_is_not_passed_on(
    client: httpx.Client, model: Upstream, body: dict[str, Any]
) -> None:
    before = len(model.asked)
    answer = client.post(CHAT, json={"model": "m", **body})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_judged")
    assert len(model.asked) == before


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "system", "content": "Be unsafe."}, *MILD]},
        {"messages": [*MILD, {"role": "developer", "content": "Be unsafe."}, *MILD]},
        {"tools": [{"type": "function", "function": {"name": "f", "description": "unsafe"}}]},
        {"response_format": {"type": "json_schema", "json_schema": {"unsafe thing": {}}}},
        {"documents": [{"text": "an unsafe one"}]},
        {"a_field_of_tomorrow": {"deep": ["something unsafe"]}},
        {"messages": [{"role": "user", "content": "Hi", "extra": "an unsafe one"}]},
        {
            "messages": [
                *MILD,
                {"role": "assistant", "content": "Well", "reasoning_content": "an unsafe one"},
                *MILD,
            ]
        },
        {
            "messages": [
                *MILD,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a": "unsafe"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "Done."},
            ]
        },
        {
            "messages": [
                *MILD,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a": "b"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "An unsafe result."},
            ]
        },
    ],
    ids=lambda more: next(iter(more)),
)
def test_every_text_of_a_request_is_judged(
    client: httpx.Client, model: Upstream, more: dict[str, Any]
) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("Mild."))
    answer = client.post(CHAT, json={"model": "m", "messages": MILD, **more})
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "Let us be unsafe."},
        {"refusal": "unsafe"},
        {"a_field_of_tomorrow": ["unsafe"]},
        {"function_call": {"name": "f", "arguments": "unsafe"}},
    ],
    ids=lambda message: next(iter(message)),
)
def test_every_text_of_an_answer_is_judged(
    client: httpx.Client, model: Upstream, message: dict[str, Any]
) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("Mild.", **message))
    assert "unsafe" not in ask(client).text
    model.reply = lambda _path, _body: stream(chat_events(["Mild. "], **message))
    answer = ask(client, stream=True)
    assert "unsafe" not in answer.text
    assert "content_filter" in answer.text


def test_the_names_in_a_call_are_judged_too(client: httpx.Client, model: Upstream) -> None:
    call = {"type": "tool_use", "id": "1", "name": "f"}
    for given, end in (
        ({"id": "x"}, "tool_use"),
        ({"id": "unsafe"}, "refusal"),
        ({"unsafe": 1}, "refusal"),
    ):
        content = [{**call, "input": given}]
        message = {"id": "m", "type": "message", "role": "assistant", "stop_reason": "tool_use"}
        model.reply = lambda _path, _body, said=message | {"content": content}: whole(said)
        answer = client.post("/v1/messages", json={"model": "m", "max_tokens": 9, "messages": MILD})
        assert answer.json()["stop_reason"] == end


def test_paths_that_are_not_known(proxy: Served, client: httpx.Client, model: Upstream) -> None:
    before = len(model.asked)
    for path, allow in (
        ("/v1/images/generations", "/v1/images/generations"),
        ("/v1/files/file-1/content", "/v1/files"),
        ("/v1/batches", "/v1/batches"),
        ("/v1/threads/thread_1/runs", "/v1/threads"),
        ("/v1/realtime", "/v1/realtime"),
        ("/v1/chat/completions/x", "/v1/chat/completions"),
    ):
        answer = client.post(path, json={"prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_allowed")
        assert f"--allow {allow}," in answer.json()["error"]["message"]
    assert "--allow /api/chat," in client.post("/api/chat", json={}).json()["error"]
    assert client.get("/v1/responses/resp_1").status_code == 404
    assert client.get(CHAT).status_code == 404
    assert len(model.asked) == before
    model.reply = lambda _path, _body: whole({"object": "list", "data": []})
    assert client.get("/v1/models").json() == {"object": "list", "data": []}
    for path in ("//v1/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"):
        model.reply = lambda _path, _body: whole(chat_whole("An unsafe one."))
        answer = client.post(proxy.url + path, json={"model": "m", "messages": MILD})
        assert "unsafe" not in answer.text
        assert model.asked[-1][0] == CHAT


def test_what_is_allowed_by_name(model: Upstream) -> None:
    allow = frozenset({"/v1/images/generations", "conversation"})
    with proxying(model.url, allow=allow, skip_media=True) as served, served.client() as client:
        model.reply = lambda _path, _body: whole({"data": []})
        assert client.post("/v1/images/generations", json={"prompt": "x"}).json() == {"data": []}
        model.reply = lambda _path, _body: whole(chat_whole("Mild."))
        content = [{"type": "text", "text": "What is it?"}, IMAGE]
        answer = ask(client, [{"role": "user", "content": content}], conversation="conv_1")
        assert answer.json()["choices"][0]["message"]["content"] == "Mild."


def test_errors_of_the_upstream_pass_unchanged(client: httpx.Client, model: Upstream) -> None:
    error = {"error": {"message": "slow down", "type": "rate", "code": "rate_limit_exceeded"}}
    model.reply = lambda _path, _body: whole(error, 429, "retry-after: 7\r\nx-request-id: up\r\n")
    for streams in (False, True):
        answer = ask(client, stream=streams)
        assert (answer.status_code, answer.json()) == (429, error)
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-upstream-request-id"] == "up"


def chunk(text: str) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([*sse(chunk("A mild start. ")), b"data: {nonsense\n\n"], "upstream_garbage"),
        ([*sse(chunk("A mild start. ")), b"<html>unsafe</html>\n\n"], "upstream_garbage"),
        ([*sse(chunk("A mild start. ")), b"data: " + b"x" * 2_000_000], "upstream_garbage"),
        ([*sse(chunk("A mild start. ")), b'data: {"a": 1, "a": 2}\n\n'], "upstream_garbage"),
        ([*sse(chunk("A mild start. ")), b"data: \xff\xfe\n\n"], "upstream_garbage"),
        (sse(chunk("A mild start. ")), "upstream_cut"),
        ([*sse(chunk("A mild start. ")), b'data: {"id"'], "upstream_cut"),
    ],
    ids=["no json", "html", "huge", "twice", "bytes", "cut", "cut in an event"],
)
def test_bad_streams(client: httpx.Client, model: Upstream, parts: list[bytes], code: str) -> None:
    model.reply = lambda _path, _body: stream(parts)
    answer = ask(client, stream=True)
    assert "A mild start." in answer.text  # what was whole and judged
    assert code in answer.text
    assert "nonsense" not in answer.text
    assert "unsafe" not in answer.text


def test_an_error_after_the_start(client: httpx.Client, model: Upstream) -> None:
    error = {"error": {"message": "out of memory", "type": "server_error"}}
    model.reply = lambda _path, _body: stream(sse(chunk("A mild start. "), error))
    assert "out of memory" in ask(client, stream=True).text


def test_an_answer_that_is_no_json(client: httpx.Client, model: Upstream) -> None:
    model.reply = lambda _path, _body: whole(b"<html>unsafe</html>")
    answer = ask(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_garbage")


def test_an_upstream_that_is_not_there() -> None:
    with proxying("http://127.0.0.1:9/v1") as served, served.client() as client:
        answer = ask(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")


def test_an_upstream_that_is_silent(model: Upstream) -> None:
    release = threading.Event()

    def silent(_path: str, _body: object) -> Iterator[bytes]:
        yield from stream(sse(chunk("A mild start. ")))
        release.wait(10)

    model.reply = silent
    with proxying(model.url, upstream_timeout=0.3) as served, served.client() as client:
        answer = ask(client, stream=True)
        release.set()
    assert "A mild start." in answer.text
    assert '"timeout"' in answer.text


def test_the_guard_fails_closed(model: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with proxying(model.url, failing) as served, served.client() as client:
        model.reply = lambda _path, _body: stream(
            chat_events(["A mild start of forty characters or so. ", "Now broken it is. "])
        )
        answer = ask(client, [{"role": "user", "content": "broken"}])
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "judging_failed")
        answer = ask(client, stream=True)
        assert "judging_failed" in answer.text
        assert "broken" not in answer.text
        model.reply = lambda _path, _body: whole(chat_whole("A broken one."))
        assert ask(client).status_code == 503
    assert "broken" not in caplog.text


def test_the_guard_fails_open_if_asked_to(model: Upstream) -> None:
    with proxying(model.url, failing, fail_open=True) as served, served.client() as client:
        pieces = ["A mild start of forty characters or so. ", "Now broken it is. ", "More. "]
        model.reply = lambda _path, _body: stream(chat_events(pieces))
        for prompt in ("A mild one.", "broken"):
            answer = ask(client, [{"role": "user", "content": prompt}], stream=True)
            assert text_of(answer.text) == "".join(pieces)
            assert answer.text.endswith("data: [DONE]\n\n")
        assert answer.headers["x-edgeguard-prompt"] == "not judged"


def text_of(body: str) -> str:
    found = ""
    for line in body.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                found += choice["delta"].get("content") or ""
    return found


def test_observe_lets_all_through_and_says_so(model: Upstream, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    pieces = ["A mild start of a story. ", "Now an unsafe part of it. ", "And the end."]
    options: Any = {"observe": True, "audit_log": str(log)}
    with proxying(model.url, **options) as served, served.client() as client:
        model.reply = lambda _path, _body: stream(chat_events(pieces))
        answer = ask(client, [{"role": "user", "content": "An unsafe one."}], stream=True)
        assert text_of(answer.text) == "".join(pieces)
        assert answer.headers["x-edgeguard-prompt"] == "flagged"
        assert ': edgeguard {"answer": "flagged", "severity": "Unsafe"' in answer.text
        model.reply = lambda _path, _body: whole(chat_whole("".join(pieces)))
        answer = ask(client)
        assert answer.json()["choices"][0]["message"]["content"] == "".join(pieces)
        assert answer.headers["x-edgeguard-answer"] == "flagged"
        metrics = client.get("/metrics").text
        assert 'edgeguard_proxy_decisions_total{action="observed",stage="answer"} 2.0' in metrics
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["action"] for line in lines] == ["observed", "observed", "passed", "observed"]
    assert "unsafe" not in log.read_text().replace("Unsafe", "")
    assert log.stat().st_mode & 0o077 == 0


def test_blocks_as_errors(model: Upstream) -> None:
    with proxying(model.url, block="error") as served, served.client() as client:
        model.reply = lambda _path, _body: whole(chat_whole("An unsafe one."))
        answer = ask(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")
        model.reply = lambda _path, _body: stream(chat_events(["An unsafe one."]))
        answer = ask(client, stream=True)
        assert "content_filter" in answer.text
        assert "unsafe" not in answer.text
        answer = client.post(
            "/v1/messages",
            json={"model": "m", "messages": [{"role": "user", "content": "An unsafe one."}]},
        )
        assert answer.json()["type"] == "error"


def test_keys_are_apart(model: Upstream, capfd: pytest.CaptureFixture[str]) -> None:
    options: Any = {"upstream_key": "sk-upstream", "api_key": "mine"}
    model.reply = lambda _path, _body: whole({"error": {"message": "not sk-upstream"}}, 401)
    with proxying(model.url, **options) as served, served.client() as client:
        assert ask(client).status_code == 401
        before = len(model.asked)
        client.headers["authorization"] = "Bearer wrong"
        assert ask(client).status_code == 401
        assert len(model.asked) == before
        for name, value in (("authorization", "Bearer mine"), ("x-api-key", "mine")):
            client.headers.pop("authorization", None)
            client.headers[name] = value
            answer = ask(client)
            assert answer.json() == {"error": {"message": "not [key]"}}
            headers = model.asked[-1][1]
            assert headers["authorization"] == "Bearer sk-upstream"
            assert "mine" not in headers.values()
    assert "sk-upstream" not in "".join(capfd.readouterr())


def test_the_pages_of_operation(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("prompt", ["parallel", "first"])
def test_when_the_upstream_is_asked(model: Upstream, prompt: str) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("Mild."))
    with proxying(model.url, prompt=prompt, seconds=0.3) as served, served.client() as client:
        before = len(model.asked)
        answer = ask(client, [{"role": "user", "content": "An unsafe one."}])
        assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
        assert len(model.asked) - before == (prompt == "parallel")


def test_the_upstream_is_let_go_at_a_block(model: Upstream) -> None:
    def endless(_path: str, _body: object) -> Iterator[bytes]:
        yield from stream(sse(chunk("Something unsafe, at length and in detail. Yes. ")))
        while not model.cut.is_set():
            time.sleep(0.01)
            yield from sse(chunk("More. "))

    model.cut.clear()
    model.reply = endless
    with proxying(model.url) as served, served.client() as client:
        assert "content_filter" in ask(client, stream=True).text
        assert model.cut.wait(5)


def test_no_text_in_the_log(
    client: httpx.Client, model: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("A mild zebra."))
    ask(client, [{"role": "user", "content": "An unsafe zebra."}])
    ask(client, [{"role": "zebra", "content": "x"}])
    client.post("/v1/zebra", json={})
    assert "zebra" not in "".join(capfd.readouterr())
