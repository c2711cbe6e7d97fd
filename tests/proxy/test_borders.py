"""The borders: what upstreams send on the wire, and what clients ask for that nobody can judge."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from proxied import proxying
from served import Served
from upstream import Reply, Upstream, chat_events, chat_whole, half_characters, sse, stream, whole

CHAT = "/v1/chat/completions"
MILD = [{"role": "user", "content": "Tell me a story."}]
GOOD = json.dumps(chat_whole("A mild one.")).encode()
BAD = json.dumps(chat_whole("An unsafe one.")).encode()


def ask(client: httpx.Client, messages: object = MILD, **more: object) -> httpx.Response:
    return client.post(CHAT, json={"model": "m", "messages": messages, **more})


def head(*lines: str, version: str = "1.1", status: int = 200) -> bytes:
    kind = "content-type: application/json"
    return "\r\n".join((f"HTTP/{version} {status} X", kind, *lines, "", "")).encode()


def chunked(body: bytes, size: int, *trailers: str) -> bytes:
    found = b""
    for place in range(0, len(body), size):
        part = body[place : place + size]
        found += f"{len(part):x};a=b\r\n".encode() + part + b"\r\n"
    return found + b"0\r\n" + "".join(f"{one}\r\n" for one in trailers).encode() + b"\r\n"


READABLE: dict[str, Any] = {
    "gzip": lambda body: [head("content-encoding: gzip"), gzip.compress(body)],
    "deflate": lambda body: [head("content-encoding: deflate"), zlib.compress(body)],
    "HTTP/1.0": lambda body: [head(version="1.0"), body],
    "chunks": lambda body: [head("transfer-encoding: chunked"), chunked(body, 7)],
    "trailers": lambda body: [
        head("transfer-encoding: chunked", "trailer: x-unsafe"),
        chunked(body, 50, "x-unsafe: something unsafe"),
    ],
    "100 first": lambda body: [b"HTTP/1.1 100 Continue\r\n\r\n", head(), body],
    "103 first": lambda body: [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", head(), body],
    "a byte at a time": lambda body: half_characters([head(), body]),
    "a mark of the byte order": lambda body: [head(), b"\xef\xbb\xbf" + body],
    "another kind": lambda body: [head().replace(b"application/json", b"text/plain"), body],
}


@pytest.mark.parametrize("reply", READABLE.values(), ids=READABLE)
def test_what_can_be_read_is_judged(client: httpx.Client, model: Upstream, reply: Any) -> None:
    model.reply = lambda _path, _body: reply(GOOD)
    answer = ask(client)
    assert answer.json()["choices"][0]["message"]["content"] == "A mild one."
    assert "content-encoding" not in answer.headers
    model.reply = lambda _path, _body: reply(BAD)
    answer = ask(client)
    assert answer.json()["choices"][0]["finish_reason"] == "content_filter"
    assert "unsafe" not in answer.text + str(answer.headers)


LIES: dict[str, Any] = {
    "br": [head("content-encoding: br"), BAD],
    "zstd": [head("content-encoding: zstd"), BAD],
    "gzip, br": [head("content-encoding: gzip, br"), BAD],
    "gzip that is none": [head("content-encoding: gzip"), BAD],
    "gzip cut": [head("content-encoding: gzip"), gzip.compress(BAD)[:-20]],
    "too short": [head(f"content-length: {len(BAD) - 9}"), BAD],
    "too long": [head(f"content-length: {len(BAD) + 9}"), BAD],
    "a chunk cut": [head("transfer-encoding: chunked"), chunked(BAD, 40)[:-60]],
    "a chunk of no size": [head("transfer-encoding: chunked"), b"zz\r\n" + BAD],
    "not UTF-8": [head(), BAD.replace(b"An ", b"\xff\xfe")],
    "UTF-16": [head(), BAD.decode().encode("utf-16")],
    "a name twice": [head(), BAD[:-1] + b', "choices": []}'],
    "a list": [head(), b"[" + BAD + b"]"],
    "half": [head(), BAD[: len(BAD) // 2]],
    "two": [head(), BAD + BAD],
    "nothing": [head()],
    "deep": [head(), b'{"a":' * 100 + b'"unsafe"' + b"}" * 100],
    "no HTTP": [b"unsafe\r\n\r\n"],
    "an endless header": [b"HTTP/1.1 200 OK\r\nx: ", b"unsafe" * 40_000],
    "nothing at all": [],
}


@pytest.mark.parametrize("parts", LIES.values(), ids=LIES)
def test_what_cannot_be_read_is_not_shown(
    client: httpx.Client, model: Upstream, parts: list[bytes]
) -> None:
    model.reply = lambda _path, _body: parts
    answer = ask(client)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] in (
        "upstream_garbage",
        "upstream_cut",
        "upstream_unreachable",
    )
    assert "unsafe" not in answer.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_nobody_is_led_past_the_proxy(
    client: httpx.Client, model: Upstream, status: int, path: str
) -> None:
    model.reply = lambda _path, _body: whole({}, status, "location: http://127.0.0.1:1/v1\r\n")
    answer = ask(client) if path == CHAT else client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_redirect")
    assert "location" not in answer.headers
    assert "--upstream" in answer.json()["error"]["message"]


def test_headers_that_are_not_the_upstreams_to_set(client: httpx.Client, model: Upstream) -> None:
    more = (
        "x-edgeguard-prompt: passed\r\naccess-control-allow-origin: *\r\nalt-svc: h3=\r\n"
        "set-cookie: a=b\r\nx-ratelimit-remaining: 7\r\n"
    )
    model.reply = lambda _path, _body: whole(chat_whole("Mild."), 200, more)
    headers = ask(client).headers
    assert headers["x-ratelimit-remaining"] == "7"
    assert not {"x-edgeguard-prompt", "alt-svc", "set-cookie"} & headers.keys()
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
def test_errors_of_the_upstream(client: httpx.Client, model: Upstream, status: int) -> None:
    """They come as they are, unless what they say is flagged."""
    error = {"error": {"message": "no", "type": "t", "code": "c", "param": None}}
    retry = "retry-after: 9\r\n"
    model.reply = lambda _path, _body: whole(error, status, retry)
    for path in (CHAT, "/v1/messages", "/v1/embeddings"):
        body = {"model": "m", "messages": MILD, "input": "Hi"}
        del body["messages" if path == "/v1/embeddings" else "input"]
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()) == (status, error)
        assert answer.headers["retry-after"] == "9"
    model.reply = lambda _path, _body: whole(b"<h1>An unsafe page</h1>", status, retry)
    answer = ask(client, stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "content_filter")
    assert answer.headers["retry-after"] == "9"


def chunk(text: str) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}


END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
BOTH = b"".join(sse(chunk("A mild "), chunk("one."), END, "[DONE]"))
STREAMS: dict[str, bytes] = {
    "CR LF": BOTH.replace(b"\n", b"\r\n"),
    "CR": BOTH.replace(b"\n", b"\r"),
    "a mark of the byte order": b"\xef\xbb\xbf" + BOTH,
    "comments": b": hello\n\n:\n" + BOTH.replace(b"\n\n", b"\n\n: OPENROUTER PROCESSING\n\n"),
    "ids": BOTH.replace(b"data:", b"id: 7\nretry: 10\ndata:"),
    "no space": BOTH.replace(b"data: ", b"data:"),
    "data in lines": BOTH.replace(b', "choices"', b',\ndata: "choices"'),
    "empty lines": BOTH.replace(b"\n\n", b"\n\n\n\n"),
    "no [DONE]": BOTH.replace(b"data: [DONE]\n\n", b""),
    "no last empty line": BOTH[:-1],
    "more after the end": BOTH + b"data: unsafe\n\n",
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10_000])
@pytest.mark.parametrize("name", STREAMS)
def test_streams_as_the_standard_has_them(
    client: httpx.Client, model: Upstream, name: str, size: int
) -> None:
    model.reply = lambda _path, _body: stream(half_characters([STREAMS[name]], size))
    answer = ask(client, stream=True)
    text = "".join(
        choice["delta"].get("content", "")
        for line in answer.text.splitlines()
        if line.startswith("data: {")
        for choice in json.loads(line[6:]).get("choices", ())
    )
    assert text == "A mild one."
    assert "error" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n") == (name != "no [DONE]")


def test_an_error_in_a_stream_is_judged_too(client: httpx.Client, model: Upstream) -> None:
    for said, shown in (("out of memory", True), ("out of unsafe", False)):
        error = {"error": {"message": said, "code": 500}}
        model.reply = lambda _path, _body, e=error: stream(sse(chunk("A mild one. "), e))
        answer = ask(client, stream=True)
        assert (said in answer.text) is shown
        assert ("content_filter" in answer.text) is not shown


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"index": 1, "delta": {"content": "unsafe"}}]},
        {"choices": [{"delta": {"content": "un"}}, {"delta": {"content": "safe"}}]},
        {"choices": {"delta": {"content": "unsafe"}}},
        {"choices": [{"index": 0, "delta": {"audio": {"data": "AAAA"}}}]},
        {"type": "response.audio.delta", "delta": "AAAA"},
    ],
)
def test_events_that_cannot_be_judged(
    client: httpx.Client, model: Upstream, value: dict[str, Any]
) -> None:
    model.reply = lambda _path, _body: stream(sse(chunk("A mild one. "), value, END, "[DONE]"))
    answer = ask(client, stream=True)
    assert "A mild one." in answer.text
    assert "upstream_garbage" in answer.text
    assert "unsafe" not in answer.text
    assert "AAAA" not in answer.text


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"logprobs": True}, "logprobs"),
    (CHAT, {"top_logprobs": 3}, "logprobs"),
    (CHAT, {"return_token_ids": True}, "logprobs"),
    (CHAT, {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    (CHAT, {"plugins": [{"id": "web"}]}, "plugins"),
    (CHAT, {"data_sources": [{"type": "azure_search"}]}, "data_sources"),
    ("/v1/completions", {"logprobs": 2}, "logprobs"),
    ("/v1/responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("/v1/responses", {"conversation": {"id": "conv_1"}}, "conversation"),
    ("/v1/responses", {"background": True}, "background"),
    ("/v1/responses", {"prompt": {"id": "pmpt_1"}}, "prompt"),
    ("/v1/responses", {"include": ["message.output_text.logprobs"]}, "logprobs"),
    ("/v1/responses", {"tools": [{"type": "web_search"}]}, "web_search"),
    ("/v1/responses", {"tools": [{"type": "web_search_preview_2025_03_11"}]}, "web_search"),
    ("/v1/responses", {"tools": [{"type": "file_search"}]}, "file_search"),
    ("/v1/responses", {"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
    ("/v1/responses", {"tools": [{"type": "image_generation"}]}, "image_generation"),
    ("/v1/responses", {"tools": [{"type": "mcp", "server_url": "http://x"}]}, "mcp"),
    ("/v1/messages", {"tools": [{"type": "web_search_20250305", "name": "w"}]}, "web_search"),
    ("/v1/messages", {"tools": [{"type": "web_fetch_20250910", "name": "w"}]}, "web_fetch"),
    ("/v1/messages", {"tools": [{"type": "code_execution_20250825"}]}, "code_execution"),
    ("/v1/messages", {"mcp_servers": [{"type": "url", "url": "http://x"}]}, "mcp_servers"),
    ("/v1/messages", {"container": "container_1"}, "container"),
]
KEPT: dict[str, dict[str, Any]] = {
    CHAT: {"messages": MILD},
    "/v1/completions": {"prompt": "Once upon a time"},
    "/v1/responses": {"input": "Tell me a story."},
    "/v1/messages": {"messages": MILD, "max_tokens": 9},
}


@pytest.mark.parametrize(("path", "more", "name"), REFUSED)
def test_what_nobody_sees_is_refused_by_name(
    client: httpx.Client, model: Upstream, path: str, more: dict[str, Any], name: str
) -> None:
    before = len(model.asked)
    answer = client.post(path, json={"model": "m", **KEPT[path], **more})
    assert answer.status_code == 400
    assert f"--allow {name}" in answer.json()["error"]["message"]
    assert len(model.asked) == before


def test_what_was_allowed_goes_on_as_it_came(model: Upstream) -> None:
    allow = frozenset(name for _, _, name in REFUSED) | {"item_reference"}
    with proxying(model.url, allow=allow) as served, served.client() as client:
        model.reply = lambda _path, _body: whole(chat_whole("Mild."))
        for path, more, _ in REFUSED:
            body = {"model": "m", **KEPT[path], **more}
            assert client.post(path, json=body).status_code == 200
            assert model.asked[-1][2] == body


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]},
        {"content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]},
        {"content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        {"content": [{"type": "video_url", "video_url": {"url": "http://x/y.mp4"}}]},
        {"content": [{"type": "text", "text": "Hi"}, {"type": "of_tomorrow", "text": "Hi"}]},
    ],
)
def test_parts_of_other_kinds(
    client: httpx.Client, model: Upstream, message: dict[str, Any]
) -> None:
    before = len(model.asked)
    answer = ask(client, [{"role": "user", **message}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_judged")
    kind = message["content"][-1]["type"]
    assert ("--skip-media" in answer.json()["error"]["message"]) == (kind != "of_tomorrow")
    answer = client.post(
        "/v1/responses",
        json={"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]},
    )
    assert "--allow item_reference" in answer.json()["error"]["message"]
    assert ask(client, MILD, modalities=["text", "audio"], audio={"voice": "x"}).status_code == 400
    assert len(model.asked) == before


HARMLESS: list[dict[str, Any]] = [
    {"store": True, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s"},
    {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "auto"},
    {"prediction": {"type": "content", "content": "A mild one."}},
    {"temperature": 0.5, "seed": 1, "logit_bias": {"50256": -100}, "stop": ["\n\n"], "n": 1},
    {"response_format": {"type": "json_object"}, "stream_options": None, "modalities": ["text"]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"top_k": 3, "min_p": 0.1, "repeat_penalty": 1.1, "cache_prompt": True, "logprobs": False},
]


@pytest.mark.parametrize("more", HARMLESS, ids=lambda more: next(iter(more)))
def test_what_clients_set_goes_on_as_it_came(
    client: httpx.Client, model: Upstream, more: dict[str, Any]
) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("Mild."))
    assert ask(client, **more).json()["choices"][0]["message"]["content"] == "Mild."
    assert model.asked[-1][2] == {"model": "m", "messages": MILD, **more}


def test_errors_in_the_form_of_the_api(model: Upstream) -> None:
    """Also of what is turned away before anybody reads it."""
    with proxying(model.url, api_key="mine", max_body=2000) as served, served.client() as client:
        large = {"model": "m", "messages": [{"role": "user", "content": "x" * 3000}]}
        for path in ("/v1/messages", "//v1/messages", "/messages", "/v1/messages/count_tokens"):
            answer = client.post(path, json={})
            assert answer.status_code == 401
            assert answer.json()["type"] == "error"
            assert answer.json()["error"]["type"] == "authentication_error"
        client.headers["x-api-key"] = "mine"
        for body, status, kind in (
            (large, 413, "request_too_large"),
            ({}, 400, "invalid_request_error"),
        ):
            answer = client.post("/v1/messages", json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert client.post(CHAT, json=body).json()["error"]["type"] == "invalid_request_error"
        answer = client.post("/v1/messages", content=b"{}")
        assert (answer.status_code, answer.json()["type"]) == (415, "error")
        assert client.post("/v1/messages/batches", json={}).json()["error"]["type"] == (
            "not_found_error"
        )


def test_counting_tokens(client: httpx.Client, model: Upstream) -> None:
    model.reply = lambda _path, _body: whole({"input_tokens": 7})
    path, body = "/v1/messages/count_tokens", {"model": "m", "messages": MILD}
    assert client.post(path, json=body).json() == {"input_tokens": 7}
    body["messages"] = [{"role": "user", "content": "An unsafe one."}]
    assert client.post(path, json=body).status_code == 400


def test_an_upload_on_a_path_that_is_allowed(model: Upstream) -> None:
    model.reply = lambda _path, _body: whole({"text": "unjudged"})
    with proxying(model.url, allow=frozenset({"/v1/audio"})) as served, served.client() as client:
        files = {"file": ("a.wav", b"\x00\x01", "audio/wav")}
        answer = client.post("/v1/audio/transcriptions", files=files)
        assert answer.json() == {"text": "unjudged"}
        assert model.asked[-1][1]["content-type"].startswith("multipart/form-data; boundary=")
        assert client.post("/v1/files", files=files).status_code == 404


def _observed() -> Iterator[tuple[Reply, dict[str, Any], str]]:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    for body, path in (
        ({"messages": [{"role": "user", "content": [picture]}]}, CHAT),
        ({"messages": MILD, "n": 3, "logprobs": True}, CHAT),
        ({"prompt": "A zebra"}, "/v1/images/generations"),
    ):
        yield whole(chat_whole("Mild.")), body, path
    yield whole(b"<html>no JSON</html>"), {"messages": MILD}, CHAT
    for part in (b"data: {nonsense\n\n", *sse({"choices": [{"delta": {"audio": {"data": "A"}}}]})):
        events = chat_events(["A mild one."])
        yield stream([*events[:2], part, *events[2:]]), {"messages": MILD, "stream": True}, CHAT


def test_observe_lets_through_what_cannot_be_judged(model: Upstream) -> None:
    with proxying(model.url, observe=True) as served, served.client() as client:
        found = list(_observed())
        for reply, body, path in found:
            parts = list(reply)
            model.reply = lambda _path, _body, parts=parts: parts
            answer = client.post(path, json={"model": "m", **body})
            sent = b"".join(parts).partition(b"\r\n\r\n")[2].decode()
            assert answer.status_code == 200
            kept = [line for line in answer.text.splitlines() if "edgeguard" not in line and line]
            assert kept == [line for line in sent.splitlines() if line]
            assert "not judged" in str(answer.headers) + answer.text
        metrics = client.get("/metrics").text
        assert 'edgeguard_proxy_decisions_total{action="observed",stage="prompt"} 3.0' in metrics
        assert 'edgeguard_proxy_decisions_total{action="observed",stage="answer"} 3.0' in metrics


def test_what_cannot_be_judged_is_counted(model: Upstream) -> None:
    with proxying(model.url) as served, served.client() as client:
        ask(client, [])
        client.post("/v1/images/generations", json={})
        model.reply = lambda _path, _body: whole(b"no JSON")
        ask(client)
        metrics = client.get("/metrics").text
        assert 'edgeguard_proxy_decisions_total{action="refused",stage="prompt"} 2.0' in metrics
        assert 'edgeguard_proxy_decisions_total{action="refused",stage="answer"} 1.0' in metrics


def test_an_answer_that_the_client_has_begun(proxy: Served, model: Upstream) -> None:
    """Its last message is the assistant's, and the upstream goes on with it."""
    begun = [*MILD, {"role": "assistant", "content": "Once upon"}]
    for text, end in ((" a time.", "stop"), (" an unsafe time.", "content_filter")):
        model.reply = lambda _path, _body, text=text: stream(chat_events([text]))
        with proxy.client() as client:
            answer = ask(client, begun, stream=True)
        assert end in answer.text
        assert "unsafe" not in answer.text
