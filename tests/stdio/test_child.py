"""The real child: every method, held to the schema; overlap, cancel, noise, and its end."""

from __future__ import annotations

import inspect
import json
import time

import jsonschema
import pytest
from stdio_client import SCHEMA, Child, validate

from edgeguard import Guard
from edgeguard.stdio.methods import Methods

CALM = "A calm sentence of some forty characters. "
LONG = CALM * 4000
"""Some 160 kB: takes many windows, and seconds."""


def test_every_method_answers_as_the_schema_says(child: Child, nano: Guard) -> None:
    said = child.call("initialize", protocol=1)
    assert [note["params"]["share"] for note in child.notifications][-1] == 1.0
    methods = set(said["capabilities"]) - {"progress"}
    assert methods == set(SCHEMA["$defs"]["requests"]) == set(SCHEMA["$defs"]["results"])

    verdict, same = (
        child.call("check", text="How can I make a bomb?"),
        nano.check("How can I make a bomb?"),
    )
    assert verdict["flagged"] and verdict["severity"] == same.severity
    assert verdict["probabilities"] == dict(same.probabilities)
    asked = [{"role": "user", "content": "Hello"}]
    assert child.call("check_messages", messages=asked, fresh=True)["mode"] == "prompt"
    answer = child.call("check_response", prompt="Hello", response="Good day.", policy="loose")
    assert answer["mode"] == "response" and answer["policy"] == "loose"

    turns = [*asked, {"role": "assistant", "content": "Good day."}]
    verdicts = child.call("check_turns", messages=turns, judge="each")["verdicts"]
    assert [verdict["mode"] for verdict in verdicts] == ["prompt", "response"]
    assert child.error(child.send("check_turns", messages=turns, judge="all"))["code"] == -32000

    begun = child.call("watch", messages=asked)
    assert begun["prompt"]["mode"] == "prompt"
    fed = [child.send("feed", stream=begun["stream"], piece=CALM) for _ in range(5)]
    places = [child.result(id_)["judged_to"] for id_ in fed]
    assert places == sorted(places) and places[-1] > 0
    ended = child.call("end", stream=begun["stream"])
    assert ended["state"]["judged_to"] == 5 * len(CALM) and ended["verdict"]["mode"] == "response"
    again = child.send("feed", stream=begun["stream"], piece="x")
    assert child.error(again)["data"]["exception"] == "InputError"

    assert child.call("policies")["policies"][:2] == ["strict", "loose"]
    told = len(child.notifications)
    child.call("unload")
    assert child.call("check", text="Hello")["severity"] == "Safe"
    assert len(child.notifications) > told
    child.call("shutdown")
    assert child.wait() == 0


@pytest.mark.parametrize(
    "name", ["check", "check_response", "check_messages", "check_turns", "watch"]
)
def test_parameters_are_those_of_the_library(name: str) -> None:
    there = inspect.signature(getattr(Guard, name)).parameters.keys() - {"self", "cancel"}
    params = SCHEMA["$defs"]["requests"][name]["properties"]["params"]["properties"]
    assert params.keys() == there
    assert inspect.signature(getattr(Methods, name)).parameters.keys() - {"self", "call"} == there


def test_requests_overlap_and_one_is_cancelled(child: Child) -> None:
    child.call("initialize")
    long = child.send("check", text=LONG)
    short = child.send("policies")
    child.result(short)  # not behind the long one
    waiting = child.send("check", text="Hello")
    assert child.call("cancel", id=long) == {"cancelled": True}
    error = child.error(long)
    assert error["code"] == -32000 and error["data"]["exception"] == "CancelledError"
    assert child.result(waiting)["severity"] == "Safe"
    assert child.call("cancel", id=long) == {"cancelled": False}


def test_a_cancelled_feed_ends_its_stream_and_no_other(child: Child) -> None:
    one, other = (child.call("watch", messages=[])["stream"] for _ in range(2))
    feed = child.send("feed", stream=one, piece=LONG)
    child.raw(b'{"jsonrpc":"2.0","method":"cancel","params":{"id":%d}}\n' % feed)
    assert child.error(feed)["data"]["exception"] == "CancelledError"
    assert child.error(child.send("end", stream=one))["data"]["exception"] == "CancelledError"
    child.call("feed", stream=other, piece=CALM)
    assert child.call("end", stream=other)["verdict"]["severity"] == "Safe"


BAD_LINES: list[tuple[bytes, int]] = [
    (b"noise", -32700),
    (bytes(range(11, 256)), -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"check"', -32700),
    (b'{"a":1,"a":2}', -32700),
    (b'{"a":NaN}', -32700),
    (b"[" * 100_000, -32700),
    (b'[{"jsonrpc":"2.0","id":1,"method":"policies"}]', -32600),
    (b"1", -32600),
    (b'{"jsonrpc":"2.0","id":null,"method":"policies"}', -32600),
    (b'{"jsonrpc":"2.0","id":{},"method":"policies"}', -32600),
    (b'{"jsonrpc":"1.0","method":"policies"}', -32600),
    (b'{"jsonrpc":"2.0"}', -32600),
]
BAD_REQUESTS: list[tuple[str, dict[str, object], int]] = [
    ("chekc", {}, -32601),
    ("check", {}, -32602),
    ("check", {"text": 3}, -32602),
    ("check", {"text": "Hello", "secret": "zebra"}, -32602),
    ("check", {"text": "Hello", "timeout": True}, -32602),
    ("check", {"text": "Hello", "timeout": -1}, -32000),
    ("check", {"text": "Hello", "policy": "zebra"}, -32000),
    ("check", {"text": "zebra \ud800"}, -32000),
    ("check", {"text": " "}, -32000),
    ("check_messages", {"messages": [{"role": "zebra"}]}, -32000),
    ("feed", {"stream": "zebra", "piece": "zebra"}, -32000),
    ("cancel", {}, -32602),
    ("cancel", {"id": []}, -32602),
]


def test_a_bad_line_is_answered_and_the_next_one_too(child: Child) -> None:
    for line, code in BAD_LINES:
        child.raw(line + b"\n")
        assert child.error()["code"] == code, line[:50]
        child.call("policies")


def test_a_bad_request_is_an_error_that_says_which(child: Child) -> None:
    for method, params, code in BAD_REQUESTS:
        error = child.error(child.send(method, **params))
        assert error["code"] == code, (method, params)
        assert params.get("policy") == "zebra" or "zebra" not in json.dumps(error)
        if code == -32000:
            assert error["data"] == {"exception": "InputError", "message": error["message"]}
        else:
            with pytest.raises(jsonschema.ValidationError):
                validate({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, "request")


def test_a_line_of_10_mb_is_read_and_a_longer_one_refused(child: Child) -> None:
    text = json.dumps(
        {"jsonrpc": "2.0", "id": "big", "method": "check", "params": {"x": "y" * 10**7}}
    )
    child.raw(text.encode() + b"\n")
    assert child.answer("big")["error"]["code"] == -32602
    for _ in range(33):
        child.raw(b"x" * (1 << 20))
    child.raw(b"\n")
    assert child.error()["code"] == -32600
    child.call("policies")


def test_the_same_id_twice_at_once_and_too_many_requests(child: Child) -> None:
    child.call("initialize")
    long = child.send("check", text=LONG)
    child.raw(b'{"jsonrpc":"2.0","id":%d,"method":"policies"}\n' % long)
    assert child.error()["code"] == -32600
    many = range(1000, 1260)
    line = b'{"jsonrpc":"2.0","id":%d,"method":"check","params":{"text":"Hello %d"}}\n'
    # At once: none is done when all are read.
    child.raw(b"".join(line % (id_, id_) for id_ in many))
    child.call("cancel", id=long)
    codes = [child.answer(id_).get("error", {}).get("code") for id_ in many]
    assert 1 <= codes.count(-32001) <= 5 and codes.count(None) + codes.count(-32001) == 260


def test_what_is_judged_is_in_no_log(child: Child) -> None:
    child.call("check", text="The zebra sleeps.")
    child.raw(b'{"jsonrpc":"2.0","method":"check","params":{"text":"zebra"}}\n')
    child.call("policies")
    child.call("shutdown")
    child.wait()
    child._readers[1].join()
    assert b"ignored" in child.complaints and b"zebra" not in child.complaints


def test_it_ends_with_its_input_though_a_check_runs(child: Child) -> None:
    child.call("initialize")
    long = child.send("check", text=LONG)
    child.raw(b'{"half a line')
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.error(long)["data"]["exception"] == "CancelledError"
    assert child.wait() == 0


def test_a_model_that_is_not_there_is_said_and_not_the_end() -> None:
    with Child("--model", "gen-0.6b") as child:
        for _ in range(2):
            error = child.error(child.send("check", text="Hello"))
            assert error["data"]["exception"] == "ModelNotFoundError"
            assert "edgeguard pull" in error["message"]


def test_its_memory_goes_back_when_idle() -> None:
    with Child("--idle-unload", "0.5") as child:
        child.call("check", text="Hello")
        told = len(child.notifications)
        time.sleep(1.5)
        child.call("check", text="Hello again")
        assert len(child.notifications) > told
