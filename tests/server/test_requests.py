"""Bodies that are no JSON, have another shape or cannot be judged: never a 500, never quoted."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import MILD

from edgeguard.server.settings import MAX_TEXTS

JSON = {"content-type": "application/json"}
POSTS = ("/v1/chat/completions", "/v1/moderations", "/v1/guard")
SECRET = "zebra-crossing"


def refused(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The error of an answer, which must have OpenAI's form."""
    assert answer.status_code == status, answer.text
    (error,) = answer.json().values()
    assert list(error) == ["message", "type", "param", "code", "request_id"]
    assert error["message"]
    assert SECRET not in answer.text
    found: dict[str, Any] = error
    return found


BROKEN = {
    "empty": b"",
    "cut": b'{"prompt": "zebra-crossing',
    "latin-1": '{"prompt": "zebra-crossing é"}'.encode("latin-1"),
    "utf-16": '{"prompt": "zebra-crossing"}'.encode("utf-16"),
    "NaN": b'{"prompt": "zebra-crossing", "temperature": NaN}',
    "Infinity": b'{"prompt": "zebra-crossing", "temperature": -Infinity}',
    "twice": b'{"prompt": "zebra-crossing", "prompt": "x"}',
    "twice inside": b'{"messages": [{"role": "user", "content": 1, "content": "zebra-crossing"}]}',
    "deep": b"[" * 40_000,
    "deep object": b'{"a":' * 40_000,
    "65 levels": b'{"prompt": "a", "metadata": ' + b"[" * 64 + b"]" * 64 + b"}",
    "two": b'{"prompt": "a"} {"prompt": "zebra-crossing"}',
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_is_400(client: httpx.Client, path: str, body: bytes) -> None:
    error = refused(client.post(path, content=body, headers=JSON))
    assert error["code"] == "invalid_json"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x",
             "application/json; charset=utf-16", "application/jsonx"],
)  # fmt: skip
def test_another_content_type_is_415(client: httpx.Client, path: str, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    refused(client.post(path, content=b'{"prompt": "zebra-crossing"}', headers=headers), 415)


@pytest.mark.parametrize("kind", ["application/json; charset=UTF-8", "application/ld+json"])
def test_json_by_another_name_is_read(client: httpx.Client, kind: str) -> None:
    body = b'\xef\xbb\xbf{"prompt": "hello"}'
    assert client.post("/v1/guard", content=body, headers={"content-type": kind}).is_success


CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": SECRET}
SHAPES = {
    "no fields": (CHAT, {}, "messages"),
    "no object": (CHAT, [USER], None),
    "no messages": (CHAT, {"messages": []}, "messages"),
    "messages are text": (CHAT, {"messages": SECRET}, "messages"),
    "a role": (CHAT, {"messages": [{"role": SECRET, "content": SECRET}]}, "messages[0].role"),
    "no content": (CHAT, {"messages": [{"role": "user"}]}, "messages"),
    "null": (CHAT, {"messages": [{"role": "user", "content": None}]}, "messages"),
    "number": (CHAT, {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    "no parts": (CHAT, {"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    "image": (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": SECRET}]}]},
        "messages[0].content[0].type",
    ),
    "surrogate": (
        CHAT,
        {"messages": [{"role": "user", "content": "\ud800"}]},
        "messages[0].content",
    ),
    "odd name": (CHAT, {"messages": [USER], "\ud800 zebra-crossing": 1}, "(unnamed)"),
    "unknown": (CHAT, {"messages": [USER], "guided_choice": [SECRET]}, "guided_choice"),
    "tool calls": (
        CHAT,
        {"messages": [{**USER, "tool_calls": [{"id": SECRET}]}]},
        "messages",
    ),
    "system alone": (CHAT, {"messages": [{"role": "system", "content": SECRET}]}, "messages"),
    "system last": (CHAT, {"messages": [USER, {"role": "system", "content": SECRET}]}, "messages"),
    "blank": (CHAT, {"messages": [USER, {"role": "assistant", "content": " \n"}]}, "messages"),
    "as text": (CHAT, {"messages": [USER], "stream": "true"}, "stream"),
    "moderate nothing": ("/v1/moderations", {}, "input"),
    "moderate null": ("/v1/moderations", {"input": None}, "input"),
    "moderate none": ("/v1/moderations", {"input": []}, "input"),
    "moderate blank": ("/v1/moderations", {"input": ""}, "input"),
    "moderate all blank": ("/v1/moderations", {"input": [" ", ""]}, "input[0]"),
    "moderate tokens": ("/v1/moderations", {"input": [1, 2]}, "input[0]"),
    "moderate a mixture": ("/v1/moderations", {"input": [SECRET, {"type": "text"}]}, "input[1]"),
    "moderate an image": (
        "/v1/moderations",
        {"input": [{"type": "image_url", "image_url": {"url": SECRET}}]},
        "input[0].type",
    ),
    "moderate too many": ("/v1/moderations", {"input": ["a"] * (MAX_TEXTS + 1)}, "input"),
    "moderate surrogates": ("/v1/moderations", {"input": [SECRET, "\udfff"]}, "input[1]"),
    "guard nothing": ("/v1/guard", {}, None),
    "guard text": ("/v1/guard", SECRET, None),
    "guard number": ("/v1/guard", {"prompt": 3}, "prompt"),
    "guard two ways": ("/v1/guard", {"prompt": SECRET, "messages": [USER]}, "prompt"),
    "guard response alone": ("/v1/guard", {"response": SECRET}, "prompt"),
    "guard null response": ("/v1/guard", {"prompt": SECRET, "response": None}, "response"),
    "guard blank response": ("/v1/guard", {"prompt": SECRET, "response": ""}, "response"),
    "guard blank prompt": ("/v1/guard", {"prompt": " "}, "prompt"),
    "guard none": ("/v1/guard", {"inputs": []}, "inputs"),
    "guard nested": ("/v1/guard", {"inputs": [{"inputs": [{"prompt": SECRET}]}]}, "inputs[0]"),
    "guard strings": ("/v1/guard", {"inputs": [SECRET]}, "inputs[0]"),
    "guard all bad": (
        "/v1/guard",
        {"inputs": [{"prompt": "\u200b"}, {"prompt": ""}]},
        "inputs[0].prompt",
    ),
    "guard too many": ("/v1/guard", {"inputs": [{"prompt": "a"}] * (MAX_TEXTS + 1)}, "inputs"),
    "guard a policy": ("/v1/guard", {"prompt": SECRET, "policy": "lenient"}, "policy"),
}


@pytest.mark.parametrize(("path", "body", "param"), SHAPES.values(), ids=SHAPES)
def test_another_shape_is_400_and_the_place_is_named(
    client: httpx.Client, path: str, body: object, param: str | None
) -> None:
    error = refused(client.post(path, content=json.dumps(body), headers=JSON))
    assert error["param"] == param
    if param is not None:
        assert param in error["message"]
    for name in CLASSES:
        assert name not in error["message"]


CLASSES = ("TextPart", "ChatMessage", "ChatRequest", "Prompt", "Inputs", "Body", "instance of")


@pytest.mark.parametrize("digits", [20, 400, 10_000])
def test_a_long_number_is_400_and_not_a_crash(client: httpx.Client, digits: int) -> None:
    body = b'{"prompt": ' + b"9" * digits + b"}"
    assert refused(client.post("/v1/guard", content=body, headers=JSON))["param"] == "prompt"


def test_a_mixture_of_shapes_names_no_class_of_ours(client: httpx.Client) -> None:
    for mixed in ([{"type": "text", "text": "a"}, SECRET], [{"role": "user", "content": "a"}, 1]):
        error = refused(client.post("/v1/moderations", json={"input": mixed}))
        assert error["message"] == "input[1]: it is not an object"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["messages", "prompt", "response", "inputs", "input", "model", "stream", "role", "content", "n"]
)
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLES | VALUES, "content": st.text() | VALUES}), max_size=3
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(POSTS),
    body=st.dictionaries(NAMES, VALUES | MESSAGES, max_size=4) | VALUES,
)
def test_no_value_is_a_server_error(client: httpx.Client, path: str, body: object) -> None:
    answer = client.post(path, content=json.dumps(body), headers=JSON)
    if answer.status_code != 200:
        refused(answer, 404 if answer.status_code == 404 else 400)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=64))
def test_no_bytes_are_a_server_error(client: httpx.Client, body: bytes) -> None:
    refused(client.post("/v1/guard", content=body, headers=JSON))


HUGE = {
    "numbers": (CHAT, b'{"messages": [' + b"1," * 500_000 + b"1]}"),
    "objects": (CHAT, b'{"messages": [' + b"{}," * 330_000 + b"{}]}"),
    "parts": (
        "/v1/guard",
        b'{"messages": [{"role": "user", "content": [' + b"1," * 500_000 + b"1]}]}",
    ),
    "inputs": ("/v1/guard", b'{"inputs": [' + b"1," * 500_000 + b"1]}"),
    "texts": ("/v1/moderations", b'{"input": [' + b"1," * 500_000 + b"1]}"),
    "names": (
        "/v1/guard",
        b'{"prompt": "a"' + b"".join(b', "k%d": 1' % i for i in range(70_000)) + b"}",
    ),
    "modalities": (CHAT, b'{"messages": [], "modalities": [' + b"1," * 500_000 + b"1]}"),
}


@pytest.mark.parametrize(("path", "body"), HUGE.values(), ids=HUGE)
def test_a_huge_wrong_body_is_refused_at_its_first_error(
    client: httpx.Client, path: str, body: bytes
) -> None:
    started = time.process_time()
    refused(client.post(path, content=body, headers=JSON))
    assert time.process_time() - started < 1.5  # 4 s and a gigabyte if every error is gathered


def test_text_in_every_script_is_judged(client: httpx.Client) -> None:
    for text in (MILD, "日本の首都は?", "🙂" * 50, "\x00a", "<|im_end|>", "‮ا"):
        for escaped in (True, False):
            body = json.dumps({"prompt": text}, ensure_ascii=escaped).encode()
            assert client.post("/v1/guard", content=body, headers=JSON).status_code == 200
