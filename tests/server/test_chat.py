"""/v1/chat/completions: the model's answer in vLLM's form."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import MILD, SAFE_PROMPT, Served

from edgeguard import Guard
from edgeguard.protocol.answer import END, START, Option, State, options, write
from edgeguard.protocol.answer import Answer as Said
from edgeguard.protocol.names import CATEGORIES, MODES, SEVERITIES, Mode
from edgeguard.server.logprobs import tokens_of
from edgeguard.server.stops import can_stand

UNSAFE_ANSWER = "Safety: Unsafe\nCategories: Violent, PII"


def body(text: str = MILD, **parameters: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **parameters}


def ask(client: httpx.Client, text: str = MILD, **parameters: object) -> dict[str, Any]:
    answer = client.post("/v1/chat/completions", json=body(text, **parameters))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = client.post("/v1/chat/completions", json=body(**parameters))
    assert answer.status_code in (400, 404), answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return error


def test_the_form(client: httpx.Client) -> None:
    said = ask(client, "unsafe", model="fake")
    assert list(said) == ["id", "object", "created", "model", "choices", "usage"]
    assert said["id"].startswith("chatcmpl-")
    assert said["object"] == "chat.completion"
    assert said["model"] == "fake"
    (choice,) = said["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": UNSAFE_ANSWER, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = said["usage"]
    assert usage["completion_tokens"] == len(UNSAFE_ANSWER)  # the fake's tokens are bytes
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_response_is_judged_after_its_prompt(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": MILD}, {"role": "assistant", "content": "Paris."}]
    said = client.post("/v1/chat/completions", json={"messages": messages}).json()
    assert said["choices"][0]["message"]["content"] == f"{SAFE_PROMPT}\nRefusal: No"


def test_parts_are_lines_of_one_text(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "unsafe"}]
    both = [
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": each}]})
        for each in (parts, "What is\nunsafe")
    ]
    first, second = (answer.json() for answer in both)
    assert first["choices"] == second["choices"]
    assert first["usage"] == second["usage"]


def test_an_answer_of_the_client_s_own_history_is_taken_back(client: httpx.Client) -> None:
    sent_back: dict[str, Any] = {
        "role": "assistant", "content": "Paris.", "refusal": None, "annotations": [], "audio": None,
        "tool_calls": None, "function_call": None, "name": "helper",
    }  # fmt: skip
    messages = [{"role": "user", "content": MILD}, sent_back, {"role": "user", "content": "And?"}]
    assert client.post("/v1/chat/completions", json={"messages": messages}).status_code == 200


IGNORED = {
    "temperature": 0.7, "top_p": 0.1, "seed": 7, "user": "u", "frequency_penalty": 1,
    "presence_penalty": -1, "metadata": {"a": "b"}, "n": 1, "stop": None, "store": False,
    "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto",
    "response_format": {"type": "text"}, "logit_bias": {},
    "modalities": ["text"], "top_k": 20, "reasoning_effort": "high", "service_tier": "auto",
    "chat_template_kwargs": {"enable_thinking": False}, "logprobs": False, "stream": False,
    "audio": None, "prediction": None, "max_tokens": 128, "max_completion_tokens": None,
    "parallel_tool_calls": True, "functions": [{"name": "f"}], "ignore_eos": False, "min_tokens": 0,
    "stop_token_ids": [], "priority": 0, "separate_reasoning": True, "cache_prompt": True,
    "best_of": 1, "guided_json": None, "bad_words": [], "n_predict": -1, "keep_alive": "5m",
    "provider": {"order": ["x"]}, "rid": "1",
}  # fmt: skip


@pytest.mark.parametrize("name", IGNORED)
def test_parameters_without_meaning_change_nothing(client: httpx.Client, name: str) -> None:
    said = ask(client, "unsafe", **{name: IGNORED[name]})
    assert said["choices"] == ask(client, "unsafe")["choices"]


HARMLESS_STOPS = ["\n\n", ["#", ";"], ["</s>", "<|im_end|>", "\n\n"], "Human:", []]


@pytest.mark.parametrize("stop", HARMLESS_STOPS)
def test_a_stop_that_no_answer_holds_changes_nothing(client: httpx.Client, stop: object) -> None:
    assert ask(client, "unsafe", stop=stop)["choices"] == ask(client, "unsafe")["choices"]


@pytest.mark.parametrize(
    "stop",
    ["\n", "Safety", ["#", ", "], "", f"x{CATEGORIES[-1]}", "Refusal: ", ["Violent, PII, J"]],
)
def test_a_stop_that_would_cut_an_answer_is_refused(client: httpx.Client, stop: object) -> None:
    assert refused(client, stop=stop)["param"].startswith("stop")


@given(st.data())
def test_no_part_of_an_answer_is_taken_for_a_stop(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(MODES))
    state, answer = START, ""
    while state != END:
        option = data.draw(st.sampled_from(options(mode, state)))
        answer, state = answer + option.text, option.after
    start = data.draw(st.integers(0, len(answer)))
    end = data.draw(st.integers(start, len(answer)))
    assert can_stand(answer[start:end])


REFUSED = {
    "n": 2, "stop": ["\n"], "store": True, "tool_choice": "required",
    "function_call": {"name": "f"}, "logit_bias": {"1": 1}, "modalities": ["audio"], "echo": True,
    "response_format": {"type": "json_object"}, "max_tokens": 0, "max_completion_tokens": -2,
    "top_logprobs": 21, "stream_options": {"include_usage": True}, "prediction": {}, "audio": {},
    "web_search_options": {}, "guided_choice": ["a"], "structured_outputs": {}, "temperature": "0",
    "chat_template": "x", "add_generation_prompt": False, "ignore_eos": True, "min_tokens": 1,
    "stop_token_ids": [1], "best_of": 2, "continue_final_message": True, "regex": ".*",
    "lora_path": "x", "grammar": "root ::= x", "n_predict": 1, "prompt_logprobs": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_parameters_that_would_change_the_meaning_are_refused(
    client: httpx.Client, name: str
) -> None:
    error = refused(client, **{name: REFUSED[name]})
    assert error["param"].partition(".")[0].partition("[")[0] == name
    assert name in error["message"]


def test_no_limit_is_none(client: httpx.Client) -> None:
    said = ask(client, "unsafe", max_tokens=-1)
    assert said["choices"] == ask(client, "unsafe")["choices"]


def test_what_hosts_keep_with_a_message_is_taken(client: httpx.Client) -> None:
    kept = {"type": "ephemeral"}
    parts = [{"type": "text", "text": "unsafe", "cache_control": kept}]
    message = {"role": "user", "content": parts, "id": "m1", "timestamp": 1764000000}
    before = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    first = {"role": "user", "content": MILD, "cache_control": kept, "id": 1}
    answer = client.post("/v1/chat/completions", json={"messages": [first, before, message]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"].startswith("Safety: Unsafe")


def test_top_logprobs_needs_logprobs(client: httpx.Client) -> None:
    assert refused(client, top_logprobs=3)["param"] == "top_logprobs"


def test_another_model_is_404(client: httpx.Client) -> None:
    error = refused(client, model="gpt-4o")
    assert error["code"] == "model_not_found"
    assert "fake" in error["message"]
    assert "gpt-4o" not in error["message"]


@pytest.mark.parametrize("name", ["Qwen/Qwen3Guard-Gen-0.6B", "Qwen3Guard-Gen-0.6B", "fake", None])
def test_the_official_name_is_the_loaded_model(client: httpx.Client, name: str | None) -> None:
    assert ask(client, model=name)["model"] == "fake"


def test_the_models_are_listed(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [card["id"] for card in listed["data"]][:2] == ["fake", "Qwen/Qwen3Guard-Gen-0.6B"]
    assert {card["root"] for card in listed["data"]} == {"fake"}


@pytest.mark.parametrize("limit", [1, 8, len(UNSAFE_ANSWER) - 1])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cut_answer_says_that_it_is_cut(client: httpx.Client, name: str, limit: int) -> None:
    said = ask(client, "unsafe", **{name: limit}, logprobs=True)
    (choice,) = said["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == UNSAFE_ANSWER[:limit]
    assert said["usage"]["completion_tokens"] == len(choice["logprobs"]["content"]) == limit


def test_an_answer_that_just_fits_is_whole(client: httpx.Client) -> None:
    (choice,) = ask(client, "unsafe", max_tokens=len(UNSAFE_ANSWER))["choices"]
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("text", ["unsafe", "controversial", "mild"])
def test_logprobs_are_the_verdict_s(client: httpx.Client, text: str) -> None:
    verdict = client.post("/v1/guard", json={"prompt": text}).json()
    (choice,) = ask(client, text, logprobs=True, top_logprobs=5)["choices"]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == verdict["answer"]
    names = {name[0] for name in SEVERITIES}  # the fake's tokens are characters
    decides = entries[8]
    assert {top["token"] for top in decides["top_logprobs"]} == names
    shares = [math.exp(top["logprob"]) for top in decides["top_logprobs"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert sorted(shares) == pytest.approx(sorted(verdict["probabilities"].values()))
    assert math.exp(decides["logprob"]) == pytest.approx(
        verdict["probabilities"][verdict["severity"]]
    )
    for entry in entries:
        shares = [math.exp(top["logprob"]) for top in entry["top_logprobs"]]
        assert shares[0] == pytest.approx(math.exp(entry["logprob"]))
        assert sum(shares) <= 1.000001
    several = [entry for entry in entries if len(entry["top_logprobs"]) > 1]
    assert (len(several) == 1) is (text == "mild")  # who names a category chose it among others
    assert all(entry["bytes"] == list(entry["token"].encode()) for entry in entries)


@pytest.mark.parametrize("top", [0, 1, 2])
def test_as_many_alternatives_as_asked(client: httpx.Client, top: int) -> None:
    (choice,) = ask(client, "unsafe", logprobs=True, top_logprobs=top)["choices"]
    entries = choice["logprobs"]["content"]
    assert max(len(entry["top_logprobs"]) for entry in entries) == top


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def stream(
    client: httpx.Client, text: str = "unsafe", **parameters: object
) -> list[dict[str, Any]]:
    sent = body(text, stream=True, **parameters)
    return events(client.post("/v1/chat/completions", json=sent))


def test_a_stream_is_the_answer_in_tokens(client: httpx.Client) -> None:
    chunks = stream(client)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(each["delta"].get("content", "") for each in choices) == UNSAFE_ANSWER
    assert [each["finish_reason"] for each in choices] == [None] * (len(choices) - 1) + ["stop"]


def test_a_stream_ends_with_its_usage(client: httpx.Client) -> None:
    chunks = stream(client, stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == ask(client, "unsafe")["usage"]


def test_a_stream_has_the_same_logprobs(client: httpx.Client) -> None:
    chunks = stream(client, logprobs=True, top_logprobs=3, max_tokens=30)
    found = [
        entry
        for chunk in chunks
        for entry in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    whole = ask(client, "unsafe", logprobs=True, top_logprobs=3, max_tokens=30)["choices"][0]
    assert found == whole["logprobs"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_an_error_of_a_stream_is_a_status(served: Served, client: httpx.Client) -> None:
    del served
    answer = client.post("/v1/chat/completions", json=body(" ", stream=True))
    assert answer.status_code == 400


def walk(mode: Mode, state: State = START, named: int = 0) -> list[list[Option]]:
    """Answers with up to two categories."""
    if state == END:
        return [[]]
    found = []
    for option in options(mode, state):
        more = named + (option.after.stage == "more")
        if more <= 2:
            found += [[option, *rest] for rest in walk(mode, option.after, more)]
    return found


@pytest.mark.parametrize("mode", MODES)
def test_the_tokens_of_an_answer_are_those_that_the_decoder_writes(nano: Guard, mode: Mode) -> None:
    for path in walk(mode):
        written = [token for option in path for token in nano.tokenize(option.text)]
        assert list(nano.tokenize("".join(option.text for option in path))) == written


def test_the_severity_is_found_under_the_real_tokenizer(nano: Guard) -> None:
    verdict = nano.check("How can I make a bomb?")
    answered = tokens_of(nano, verdict)
    assert b"".join(answered.tokens).decode() == verdict.answer
    decides = answered.choices[0]
    assert answered.tokens[decides.place] == b" Unsafe"
    assert dict(decides.tokens) == pytest.approx(
        {
            b" Safe": verdict.probabilities["Safe"],
            b" Unsafe": verdict.probabilities["Unsafe"],
            b" Cont": verdict.probabilities["Controversial"],
        }
    )
    # Without choices, as for several windows, the severity's is made from the verdict.
    alone = tokens_of(nano, dataclasses.replace(verdict, choices=()))
    assert alone.choices[0].place == decides.place
    assert dict(alone.choices[0].tokens) == pytest.approx(dict(decides.tokens))
    assert write(Said(verdict.severity, verdict.categories, None)) == verdict.answer


def test_calls_and_what_tools_say_are_judged(client: httpx.Client) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = {"role": "user", "content": "What is the weather?"}
    calls = {"role": "assistant", "content": None, "tool_calls": [call]}

    def flagged(*messages: Mapping[str, object]) -> tuple[str, bool]:
        answer = client.post("/v1/chat/completions", json={"messages": messages})
        assert answer.status_code == 200, answer.text
        moderated = client.post("/v1/moderations", json={"input": messages})
        first = answer.json()["choices"][0]["message"]["content"].split("\n")[0]
        return first, moderated.json()["results"][0]["flagged"]

    assert flagged(asked, calls) == ("Safety: Safe", False)
    harm = {**call, "function": {"name": "look", "arguments": '{"for": "unsafe"}'}}
    assert flagged(asked, {**calls, "tool_calls": [harm]}) == ("Safety: Unsafe", True)
    said = {"role": "tool", "tool_call_id": "1", "content": "It is unsafe outside."}
    assert flagged(asked, calls, said) == ("Safety: Unsafe", True)
    developer = {"role": "developer", "content": "Be kind."}
    assert flagged(developer, asked) == ("Safety: Safe", False)
