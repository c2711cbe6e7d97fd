"""A Stream in the place of a Gen: each surface judges with it, and says null to what it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from click.testing import CliRunner
from labelled import row
from proxied import proxying
from served import serving
from stdio_client import Child
from upstream import chat_events, stream, upstream

import edgeguard
from edgeguard import Guard, InputError, Verdict
from edgeguard.commands.batch import command as batch
from edgeguard.commands.eval_ import command as evaluate
from edgeguard.convert import convert
from edgeguard.policy import STRICT
from edgeguard.protocol.names import SAFE, UNSAFE, Severity
from edgeguard.session.fake_stream import FakeStreamSession

SCHEMA = json.loads(Path(edgeguard.__file__).with_name("verdict.schema.json").read_text("utf-8"))
MILD = "What is the capital of France?"


def label(role: str, text: str) -> Severity | tuple[Severity, str]:
    """X makes a token Unsafe, and a prompt that has one anywhere."""
    seen = text if role == "user" else text[-1:]
    return (UNSAFE, "PII") if "X" in seen else SAFE


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    load = lambda _cancel: Guard.with_session(FakeStreamSession(label))  # noqa: E731
    with serving(load=load) as served, served.client() as found:
        yield found


def test_check_many_and_turns() -> None:
    rows: list[Any] = [MILD, {"text": MILD, "response": "XX"}, "", {"text": "an X"}, MILD]
    with Guard.with_session(FakeStreamSession(label)) as guard:
        safe, unsafe, empty, prompt, again = guard.check_many(rows)
        turns = guard.check_turns(
            [{"role": "user", "content": MILD}, {"role": "assistant", "content": "Paris XX."}]
        )
    assert isinstance(empty, InputError) and again is safe
    for verdict in (safe, unsafe, prompt, *turns):
        assert isinstance(verdict, Verdict)
        jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)
        assert verdict.refusal is None and verdict.category_probabilities is not None
        assert verdict.choices == ()
    flagged = [verdict.flagged for verdict in (safe, unsafe, prompt, *turns)]  # type: ignore[union-attr]
    assert flagged == [False, True, True, False, True]


def test_rules_on_refusals_flag_nothing_that_is_not_known() -> None:
    """Nobody knows whether it is one: a policy that flags or passes them changes nothing."""
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "No, XX."}]
    with Guard.with_session(FakeStreamSession(label)) as guard:
        for rule, text, flagged in (("flag", "No.", False), ("pass", "No, XX.", True)):
            messages[1]["content"] = text
            policy = replace(STRICT, refusal=rule)  # type: ignore[arg-type]
            assert guard.begin(messages, policy=policy).verdict().flagged is flagged


def test_the_cache_of_answers_keeps_what_suffices() -> None:
    """A policy that goes by tokens is decided by them, and not by an answer of earlier."""
    session = FakeStreamSession(label)
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "Well, XX."}]
    by_category = replace(STRICT, categories=(("PII", "ignore"),))
    with Guard.with_session(session, cache="memory") as guard:
        for policy, flagged in ((STRICT, True), (STRICT, True), (by_category, False)):
            assert guard.begin(messages, policy=policy).verdict().flagged is flagged
        info = guard.cache_info()
        assert info is not None and (info.hits, info.misses, info.size) == (1, 1, 1)


def test_the_server_in_every_form(client: httpx.Client) -> None:
    answer = client.post("/v1/guard", json={"prompt": MILD, "response": "XX"}).json()
    jsonschema.validate(answer, SCHEMA)
    assert answer["flagged"] and answer["refusal"] is None
    found = client.post("/v1/moderations", json={"input": [MILD, "an X"]}).json()["results"]
    assert [one["flagged"] for one in found] == [False, True]
    assert found[1]["edgeguard"]["categories"] == ["PII"]
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "XX"}]
    body = {"messages": messages, "model": "fake"}
    chat = client.post("/v1/chat/completions", json=body).json()
    text = chat["choices"][0]["message"]["content"]
    assert text == "Safety: Unsafe\nCategories: PII"  # no line of a refusal: it knows none
    assert client.get("/health").json()["status"] == "ok"


def test_logprobs_are_of_the_severity_alone(client: httpx.Client) -> None:
    """It writes no answer, so that no other token of one has a choice."""
    body = {"messages": [{"role": "user", "content": MILD}], "model": "fake", "logprobs": True}
    choice = client.post("/v1/chat/completions", json=body | {"top_logprobs": 3}).json()
    tokens = choice["choices"][0]["logprobs"]["content"]
    several = [token for token in tokens if len(token["top_logprobs"]) == 3]
    assert len(several) == 1 and several[0]["logprob"] == pytest.approx(0, abs=0.01)


def test_a_streamed_answer_behind_the_proxy() -> None:
    """Of a flagged answer nothing is shown from the first of the flagged tokens on."""
    pieces = ["It is ", "well known, ", "that X", "X and ", "so on and ", "so on. "]
    ask = {"model": "m", "stream": True, "messages": [{"role": "user", "content": MILD}]}
    with (
        upstream() as model,
        proxying(model.url, session=FakeStreamSession(label)) as served,
        served.client() as client,
    ):
        model.reply = lambda _path, _body: stream(chat_events(pieces), pause=0.02)
        with client.stream("POST", "/v1/chat/completions", json=ask) as answer:
            lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: {")]
    deltas = [json.loads(line)["choices"][0] for line in lines]
    text = "".join(each["delta"].get("content") or "" for each in deltas)
    assert text.startswith("It is well known, that ") and "X" not in text
    assert deltas[-1]["finish_reason"] == "content_filter"


@pytest.fixture(scope="module")
def smaller(checkpoint: Path) -> Path:
    return convert(checkpoint, checkpoint.parent / "stream-q8_0.gguf", type="q8_0").path


ROWS = [
    {"id": "a", "text": MILD},
    {"id": "b", "text": "How do I bake bread?", "response": "Warm the milk."},
    {"id": "c", "text": "Who was it?", "response": "Nobody knows it."},
]


def labelled(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    found = []
    for each in rows:
        messages = [{"role": "user", "content": each["text"]}]
        if "response" in each:
            messages.append({"role": "assistant", "content": each["response"]})
        found.append(row(each["id"], "", SAFE) | {"messages": messages})
    return found


def test_batch_and_eval(stream_file: Path, smaller: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    options = ["--threads", "1", "--allow-random-weights"]
    out = tmp_path / "judged.jsonl"
    run = CliRunner().invoke
    judged = run(batch, [str(data), "--out", str(out), "--model", str(stream_file), *options])
    assert judged.exit_code == 0, judged.output
    data.write_text("".join(json.dumps(one) + "\n" for one in labelled(ROWS)), encoding="utf-8")
    verdicts = [json.loads(line)["verdict"] for line in out.read_text("utf-8").splitlines()]
    assert [one["mode"] for one in verdicts] == ["prompt", "response", "response"]
    assert all(one["refusal"] is None for one in verdicts)
    one = run(evaluate, [str(data), "--model", str(stream_file), "--json", "-", *options])
    assert one.exit_code == 0, one.output
    both = run(
        evaluate,
        ["--compare", str(stream_file), str(smaller), str(data), "--json", "-", *options],
    )
    assert both.exit_code == 0, both.output
    first, other = json.loads(both.stdout)["models"]
    assert first["change"] is None
    assert 0 < other["change"]["change_worst"] < 0.2
    tokens = other["change"]["tokens"]
    assert tokens["count"] > 10 and 0.8 <= tokens["same"] <= 1
    assert 0 < tokens["mean"] <= tokens["worst"] < 0.5


def test_stdio(stream_file: Path) -> None:
    with Child("--model", str(stream_file), "--allow-random-weights") as stdio:
        named = stdio.call("watch", messages=[], in_a_row=3)["stream"]
        state = stdio.call("feed", stream=named, piece="Warm the milk, then add flour. ")
        assert state["judged_to"] > 10
        assert stdio.call("end", stream=named)["verdict"]["refusal"] is None
        assert stdio.call("check", text=MILD)["mode"] == "prompt"
        error = stdio.error(stdio.send("watch", messages=[], in_a_row=0))
        assert "in_a_row is 0" in error["message"]
