"""No string of the upstream reaches a client unjudged, whatever its field, its form and its cuts.

One string of an answer, or one name in it, is harmful; the session finds that unsafe wherever it is
asked. So whatever a client gets with the harm in it was not judged, or not waited for.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from proxied import proxying
from upstream import (
    Upstream,
    chat_events,
    chat_whole,
    half_characters,
    message_events,
    message_whole,
    response_events,
    response_whole,
    sse,
    stream,
    whole,
)

HARM = "something unsafe"
MILD = "A mild one."
NAMES = st.sampled_from(
    [
        "id", "object", "model", "role", "type", "finish_reason", "stop_reason", "content",
        "text", "delta", "message", "choices", "thinking", "reasoning", "reasoning_content",
        "refusal", "annotations", "title", "url", "logprobs", "token", "top_logprobs", "usage",
        "timings", "signature", "encrypted_content", "data", "tool_calls", "function", "name",
        "arguments", "input", "partial_json", "error", "code", "param", "instructions",
        "metadata", "tools", "tool_choice", "output", "item", "part", "response", "status",
        "embedding", "transcript", "obfuscation", "index", "system_fingerprint", "citations",
        "bytes", "stop_sequence", "content_filter_results", "call_id", "item_id", "event",
        "service_tier", "summary", "echo", "sequence_number", "x", "a new field", "größe",
    ]
)  # fmt: skip
TREES = st.recursive(
    st.sampled_from([MILD, "mild", None, 0, True, "ping", "assistant", "response"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(NAMES, TREES, min_size=1, max_size=4)
PATHS = {
    "/v1/chat/completions": (chat_whole, chat_events),
    "/v1/responses": (response_whole, response_events),
    "/v1/messages": (message_whole, message_events),
}
ASKED = {
    "model": "m",
    "messages": [{"role": "user", "content": "Tell me a story."}],
    "input": "Tell me a story.",
}


def asked(path: str, **more: object) -> dict[str, object]:
    kept = "input" if path == "/v1/responses" else "messages"
    return {"model": "m", kept: ASKED[kept], **more}


class Harm:
    """Puts the harm in the place of one string or name, the nth of a value."""

    def __init__(self, place: int) -> None:
        self.left = place

    def into(self, value: Any) -> Any:
        if isinstance(value, str):
            return HARM if self._here() else value
        if isinstance(value, list):
            return [self.into(inner) for inner in value]
        if isinstance(value, dict):
            return {
                (HARM if self._here() else name): self.into(inner) for name, inner in value.items()
            }
        return value

    def _here(self) -> bool:
        self.left -= 1
        return self.left == -1


def mixed(value: Any, more: dict[str, Any], depth: int) -> Any:
    """The value with more fields in one of its objects."""
    if not isinstance(value, dict):
        return value
    inner = [name for name, one in value.items() if isinstance(one, (dict, list)) and one]
    if depth and inner:
        name = inner[depth % len(inner)]
        one = value[name]
        if isinstance(one, list):
            return {**value, name: [mixed(one[0], more, depth - 1), *one[1:]]}
        return {**value, name: mixed(one, more, depth - 1)}
    return {**more, **value} if depth % 2 else {**value, **more}


COMMON: Any = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "deadline": None,
}


@settings(max_examples=50, **COMMON)
@given(
    path=st.sampled_from(sorted(PATHS)),
    more=FIELDS,
    depth=st.integers(0, 4),
    place=st.integers(0, 60),
    status=st.sampled_from([200, 200, 200, 400, 429, 500]),
)
def test_any_answer(
    client: httpx.Client,
    model: Upstream,
    path: str,
    more: dict[str, Any],
    depth: int,
    place: int,
    status: int,
) -> None:
    harm = Harm(place)
    answer = harm.into(mixed(PATHS[path][0](MILD), more, depth))
    assume(harm.left < 0)
    model.reply = lambda _path, _body: whole(answer, status)
    assert "unsafe" not in client.post(path, json=asked(path)).text


@settings(max_examples=60, **COMMON)
@given(
    path=st.sampled_from(sorted(PATHS)),
    more=st.lists(FIELDS, min_size=1, max_size=3),
    depth=st.integers(0, 4),
    where=st.integers(0, 30),
    place=st.integers(0, 20),
    size=st.integers(1, 2000),
)
def test_any_stream(
    client: httpx.Client,
    model: Upstream,
    path: str,
    more: list[dict[str, Any]],
    depth: int,
    where: int,
    place: int,
    size: int,
) -> None:
    events = []
    for part in PATHS[path][1]([MILD, " Then", " more of it. "]):
        name, _, data = part.decode().rpartition("data: ")
        events.append((name, data.strip()))
    for number, fields in enumerate(more):
        at = (where + 3 * number) % len(events)
        name, data = events[at]
        if data != "[DONE]":
            value = mixed(json.loads(data), fields, depth)
            events[at] = (name, json.dumps(Harm(place).into(value)))
    body = b"".join(f"{name}data: {data}\n\n".encode() for name, data in events)
    assume(b"unsafe" in body)
    model.reply = lambda _path, _body: stream(half_characters([body], size))
    assert "unsafe" not in client.post(path, json=asked(path, stream=True)).text


DELTAS = ("content", "reasoning_content", "refusal", "reasoning")


@settings(max_examples=20, **COMMON)
@given(
    cuts=st.lists(st.sampled_from(DELTAS[1:]), min_size=1, max_size=6),
    at=st.integers(1, 5),
    before=st.sampled_from(["", "So: ", "A mild start of this one. " * 4]),
)
def test_harm_that_others_interrupt(
    client: httpx.Client, model: Upstream, cuts: list[str], at: int, before: str
) -> None:
    """A client puts each field together: so does the guard."""
    deltas: list[dict[str, str]] = [{"content": f"{before}{'unsafe'[:at]}"}]
    deltas += [{name: f"aside {n}"} for n, name in enumerate(cuts)]
    deltas.append({"content": "unsafe"[at:]})
    events = sse(*({"id": "c", "choices": [{"index": 0, "delta": d}]} for d in deltas), "[DONE]")
    model.reply = lambda _path, _body: stream(events)
    body = client.post("/v1/chat/completions", json=asked("", stream=True)).text
    assert "content_filter" in body
    assert f'"{"unsafe"[at:]}"' not in body


@settings(max_examples=20, **COMMON)
@given(data=st.data(), path=st.sampled_from(sorted(PATHS)))
def test_harm_in_escapes(
    client: httpx.Client, model: Upstream, data: st.DataObject, path: str
) -> None:
    """Arguments of a call are JSON in a string: its reader sees what its escapes say."""
    letters = [
        data.draw(st.sampled_from([letter, f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"]))
        for letter in "unsafe"
    ]
    text = '{"say": "' + "".join(letters) + '"}'
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    model.reply = lambda _path, _body: stream(_call(path, pieces))
    body = client.post(path, json=asked(path, stream=True)).text
    shown = "".join(
        str(_arguments(json.loads(line[6:])))
        for line in body.splitlines()
        if line.startswith("data: {")
    )
    assert text not in shown
    assert "content_filter" in body or '"refusal"' in body


def _call(path: str, pieces: list[str]) -> list[bytes]:
    if path == "/v1/messages":
        first, *rest = message_events([])[:2], *message_events([])[-2:]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
        return [
            first[0],
            *sse(
                {"type": "content_block_start", "index": 0, "content_block": block},
                *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
                {"type": "content_block_stop", "index": 0},
                names=True,
            ),
            *rest,
        ]
    if path == "/v1/responses":
        name = "response.function_call_arguments"
        place = {"item_id": "fc_1", "output_index": 0}
        return sse(
            *({"type": f"{name}.delta", **place, "delta": piece} for piece in pieces),
            {"type": f"{name}.done", **place, "arguments": "".join(pieces)},
            {"type": "response.completed", "response": response_whole("")},
            names=True,
        )
    calls = [[{"index": 0, "function": {"arguments": piece}}] for piece in pieces]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": call}}]} for call in calls]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    return sse(*chunks, end, "[DONE]")


def _arguments(event: dict[str, Any]) -> str:
    if str(event.get("type")).endswith(("arguments.delta", "content_block_delta")):
        delta = event["delta"]
        return delta if isinstance(delta, str) else str(delta.get("partial_json", ""))
    return "".join(
        call["function"]["arguments"]
        for choice in event.get("choices", ())
        for call in choice["delta"].get("tool_calls", ())
    )


def test_tokens_are_taken_out(client: httpx.Client, model: Upstream) -> None:
    """Log probabilities name words that were likely, which nobody judged."""
    likely = [{"token": "unsafe", "logprob": -3.0}]
    tokens = {"content": [{"token": "Mild", "logprob": -0.1, "top_logprobs": likely}]}
    answer = chat_whole("Mild.")
    answer["choices"][0] |= {"logprobs": tokens, "token_ids": [1, 2]}
    model.reply = lambda _path, _body: whole(answer)
    said = client.post("/v1/chat/completions", json=asked("")).json()["choices"][0]
    assert (said["message"]["content"], said["logprobs"], said["token_ids"]) == ("Mild.", None, [])
    events = [
        event.replace(b'"finish_reason": null', b'"logprobs": ' + json.dumps(tokens).encode())
        for event in chat_events(["A mild one."])
    ]
    model.reply = lambda _path, _body: stream(events)
    body = client.post("/v1/chat/completions", json=asked("", stream=True)).text
    assert "A mild one." in body
    assert "token" not in body
    with proxying(model.url, allow=frozenset({"logprobs"})) as served, served.client() as free:
        body = free.post("/v1/chat/completions", json=asked("", stream=True, logprobs=True)).text
        assert body.count('"token": "unsafe"') == 2


@pytest.mark.parametrize("field", ["embedding", "object", "model", "a_new_one"])
def test_embeddings_hold_no_text(client: httpx.Client, model: Upstream, field: str) -> None:
    item = {"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}
    answer = {"object": "list", "data": [item], "model": "m"}
    body = {"model": "m", "input": "Hi"}
    model.reply = lambda _path, _body: whole(answer)
    assert client.post("/v1/embeddings", json=body).json() == answer
    model.reply = lambda _path, _body: whole({**answer, "data": [{**item, field: HARM}]})
    said = client.post("/v1/embeddings", json=body)
    assert (said.status_code, said.json()["error"]["code"]) == (400, "content_filter")


def test_what_an_answer_repeats_of_the_request(client: httpx.Client, model: Upstream) -> None:
    """The client's own words are no news to it, and are not judged as an answer."""
    instructions = "Speak of mild things alone."
    answer = {**response_whole("Mild."), "instructions": instructions}
    model.reply = lambda _path, _body: whole(answer)
    request = asked("/v1/responses", instructions=instructions)
    assert client.post("/v1/responses", json=request).json() == answer
    model.reply = lambda _path, _body: whole({**answer, "instructions": f"{instructions} {HARM}"})
    assert "unsafe" not in client.post("/v1/responses", json=request).text
