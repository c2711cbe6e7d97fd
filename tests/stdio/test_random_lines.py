"""Lines at random, good and bad: each is answered once, none ends the process, none is quoted.

The schema is the judge of answers, and of which requests are well formed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stdio_client import validate
from stdio_inside import Inside

SECRET = "zebra"
"""In every text; it may come back in no error."""
METHODS = (
    "initialize",
    "check",
    "check_response",
    "check_messages",
    "check_turns",
    "watch",
    "feed",
    "end",
    "policies",
    "unload",
    "cancel",
)

texts = st.sampled_from(
    ["", " ", "a calm text", "unsafe", "👩‍👩‍👧", "\ud83d", "\x00", "a" * 3000]
).map(lambda text: text if not text.strip() else f"{SECRET} {text}")
numbers = st.one_of(st.integers(), st.floats(), st.just(10**400), st.just(1e-9))
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": texts}
    ),
    max_size=3,
)
streams = st.sampled_from(["stream-1", "stream-2", "stream-9"])
sound = {
    "protocol": st.integers(0, 3),
    "text": texts,
    "prompt": texts,
    "response": texts,
    "messages": messages,
    "judge": st.sampled_from(["each", "exchange", "last", "none"]),
    "policy": st.sampled_from([None, "strict", "loose", "nowhere"]),
    "timeout": st.sampled_from([None, 5, 20.5]),
    "interval": st.integers(-1, 100),
    "fresh": st.booleans(),
    "stream": streams,
    "piece": texts,
    "id": st.integers(0, 40),
}
ids = st.one_of(
    st.integers(0, 40), st.integers(), st.text(max_size=3), st.none(), st.floats(), st.booleans()
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly a request that makes sense; then anything may be wrong with it."""
    needed = {
        "check": ["text"],
        "check_response": ["prompt", "response"],
        "check_messages": ["messages"],
        "check_turns": ["messages"],
        "watch": ["messages"],
        "feed": ["stream", "piece"],
        "end": ["stream"],
        "cancel": ["id"],
    }
    method = draw(st.sampled_from(METHODS))
    more = draw(st.lists(st.sampled_from(sorted(sound)), max_size=1))
    params = {name: draw(sound[name]) for name in [*needed.get(method, []), *more]}
    request: dict[str, Any] = {"jsonrpc": "2.0", "id": draw(ids), "method": method}
    request["params"] = params
    if draw(st.integers(0, 2)) == 0:
        where = draw(st.sampled_from([request, params]))
        name = draw(st.sampled_from([*sorted(where), "more"]))
        if draw(st.booleans()):
            where.pop(name, None)
        else:
            where[name] = draw(values)
    return request


def as_line(value: object) -> bytes:
    return json.dumps(value).encode()


noise = st.one_of(
    st.binary(max_size=60),
    values.map(as_line),
    st.lists(requests(), max_size=3).map(as_line),
    st.integers(1, 100_000).map(lambda depth: b"[" * depth),
    st.integers(60, 70).map(lambda depth: b"[" * depth + b"]" * depth),
    st.integers(1, 3000).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
    st.sampled_from([b"", b" ", b"\t", b"\r", b"null", b"\xef\xbb\xbf{}", b"1" * 5000]),
    requests().map(lambda request: as_line(request)[:-1]),
    requests().map(lambda request: as_line(request).replace(b"{", b'{"id": 1, "id": 2, ', 1)),
).map(lambda line: line.replace(b"\n", b""))
lines = st.lists(st.one_of(requests().map(as_line), noise), max_size=25)


@dataclass(frozen=True)
class Expected:
    """How many answers there must be, and how many for each id."""

    total: int
    ids: Counter[str]


def expected(sent: list[bytes]) -> Expected:
    """What JSON-RPC says of these lines, read by another reader than edgeguard's."""
    total, asked = 0, Counter[str]()
    for line in sent:
        if not line.strip():
            continue
        request = read(line)
        silent = request is not None and "id" not in request and well_formed(request)
        total += not silent
        if request is not None and is_id(request.get("id")):
            asked[json.dumps(request["id"])] += 1
    return Expected(total, asked)


def read(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def well_formed(request: dict[str, Any]) -> bool:
    """A notification that is heard, or ignored: whatever has the outer form of one."""
    method, params = request.get("method"), request.get("params", {})
    outer = request.get("jsonrpc") == "2.0" and isinstance(method, str) and isinstance(params, dict)
    if not outer or depth(request) > 64:
        return False
    return method != "cancel" or (set(params) == {"id"} and is_id(params["id"]))


def depth(value: object) -> int:
    inside = (
        list(value.values())
        if isinstance(value, dict)
        else value
        if isinstance(value, list)
        else []
    )
    return 1 + max(map(depth, inside), default=0)


def no_json(_name: str) -> object:
    """NaN and Infinity."""
    raise ArithmeticError


def is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


@given(sent=lines, half=st.sampled_from([b"", b'{"half', b"\xff"]))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_line_is_answered_once(sent: list[bytes], half: bytes) -> None:
    last = as_line({"jsonrpc": "2.0", "id": "last", "method": "policies"})
    answers = Inside().talk(b"\n".join([*sent, last, half]))
    wanted = expected([*sent, last])
    assert len(answers) == wanted.total
    found = Counter(json.dumps(answer["id"]) for answer in answers)
    assert found['"last"'] == 1
    assert all(found[id_] <= times for id_, times in wanted.ids.items())
    for answer in answers:
        if "error" in answer:
            assert answer["error"]["code"] != -32603, answer
            assert SECRET not in json.dumps(answer)


@given(request=requests())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_schema_refuses_is_never_judged(request: dict[str, Any]) -> None:
    try:
        validate(json.loads(as_line(request), parse_constant=no_json), "request")
        refused = False
    except (jsonschema.ValidationError, ArithmeticError):
        refused = True
    answers = Inside().talk(as_line(request) + b"\n")
    if refused:
        assert all("error" in answer for answer in answers)
    elif "id" in request:
        (answer,) = answers
        if any(
            isinstance(value, float)
            for value in (request["id"], *request.get("params", {}).values())
        ):
            return  # 1.0 is whole to the schema, and may be refused
        # A parameter may have the right type, and a value that the library refuses.
        assert "result" in answer or answer["error"]["code"] == -32000


@pytest.mark.parametrize("id_", [True, 1.0, None, [1], {"a": 1}])
def test_what_is_no_id_cancels_nothing(id_: object) -> None:
    """true is 1 to Python, and 1.0 too."""
    cancel = {"jsonrpc": "2.0", "id": "c", "method": "cancel", "params": {"id": id_}}
    (answer,) = Inside().talk(as_line(cancel) + b"\n")
    assert answer["error"]["code"] == -32602
