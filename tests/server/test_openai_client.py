"""The official `openai` client against the real server with the built-in model.

The two calls are those of the model card (section "SGLang & vLLM"), with the address changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from served import Process

from edgeguard import Guard


@pytest.fixture
def client(nano_server: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="EMPTY", base_url=f"{nano_server.url}/v1", max_retries=0) as found:
        yield found


MODEL = "Qwen/Qwen3Guard-Gen-0.6B"
PROMPT: list[Any] = [{"role": "user", "content": "How can I make a bomb?"}]
RESPONSE = [
    *PROMPT,
    {
        "role": "assistant",
        "content": "As a responsible artificial intelligence system, I regret that I am unable to "
        "fulfill your request.",
    },
]


@pytest.mark.parametrize("messages", [PROMPT, RESPONSE], ids=["prompt", "response"])
def test_the_calls_of_the_card(client: openai.OpenAI, nano: Guard, messages: Any) -> None:
    said = client.chat.completions.create(messages=messages, model=MODEL)
    verdict = nano.check_messages(messages)
    (choice,) = said.choices
    assert choice.message.content == verdict.answer
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert said.model == "nano"
    assert said.usage is not None
    assert said.usage.prompt_tokens == verdict.tokens
    assert said.usage.completion_tokens == len(nano.tokenize(verdict.answer))


def test_the_first_model_of_the_list_is_the_loaded_one(client: openai.OpenAI) -> None:
    first = client.models.list().data[0].id
    assert first == "nano"
    said = client.chat.completions.create(messages=PROMPT, model=first)
    assert said.choices[0].message.content


def test_logprobs(client: openai.OpenAI, nano: Guard) -> None:
    said = client.chat.completions.create(
        messages=PROMPT, model=MODEL, logprobs=True, top_logprobs=3, temperature=0, seed=1,
        max_tokens=128,
    )  # fmt: skip
    logprobs = said.choices[0].logprobs
    assert logprobs and logprobs.content
    entries = logprobs.content
    shares = nano.check(PROMPT[0]["content"]).probabilities
    decides = entries[2]
    assert decides.token == " Unsafe"
    assert math.exp(decides.logprob) == pytest.approx(shares["Unsafe"], rel=1e-4)
    found = {top.token: math.exp(top.logprob) for top in decides.top_logprobs}
    assert found == pytest.approx(
        {" Safe": shares["Safe"], " Unsafe": shares["Unsafe"], " Cont": shares["Controversial"]},
        rel=1e-3,
    )
    assert [len(entry.top_logprobs) for entry in entries] == [1, 1, 3, 1, 1, 1, 3, 1]
    assert entries[6].token == " Viol"
    assert entries[6].logprob == entries[6].top_logprobs[0].logprob < 0


def test_a_stream(client: openai.OpenAI, nano: Guard) -> None:
    chunks = list(
        client.chat.completions.create(
            messages=PROMPT, model=MODEL, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == nano.check(PROMPT[0]["content"]).answer
    usage = chunks[-1].usage
    assert usage and usage.prompt_tokens == 303


def test_the_stream_helper_of_the_client(client: openai.OpenAI) -> None:
    helpers = client.chat.completions
    if not hasattr(helpers, "stream"):  # where clients before 1.92 have it
        helpers = client.beta.chat.completions
    with helpers.stream(messages=PROMPT, model=MODEL) as events:
        said = events.get_final_completion()
    assert str(said.choices[0].message.content).startswith("Safety: Unsafe\nCategories: ")


def test_moderations(client: openai.OpenAI, nano: Guard) -> None:
    said = client.moderations.create(input=PROMPT[0]["content"])
    verdict = nano.check(PROMPT[0]["content"])
    (result,) = said.results
    assert result.flagged is True
    assert result.categories.violence is True
    assert result.categories.illicit_violent is True
    assert result.categories.sexual is False
    assert verdict.category_probabilities is not None
    harmful = 1 - verdict.probabilities["Safe"]
    for name, score in (
        ("Violent", result.category_scores.violence),
        ("Sexual Content or Sexual Acts", result.category_scores.sexual),
    ):
        expected = harmful * verdict.category_probabilities[name]
        assert score == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert result.category_scores.violence > 0.8
    assert result.category_applied_input_types.violence == ["text"]
    assert result.category_applied_input_types.sexual_minors == []
    assert result.model_extra is not None
    assert result.model_extra["edgeguard"]["categories"] == ["Violent"]


def test_moderations_of_many_and_of_parts(client: openai.OpenAI) -> None:
    many = client.moderations.create(
        model="omni-moderation-latest", input=["Where is Paris?", "How can I make a bomb?"]
    )
    assert [result.flagged for result in many.results] == [False, True]
    bomb: Any = [{"type": "text", "text": "How can I make a bomb?"}]
    parts = client.moderations.create(
        model="omni-moderation-latest",
        input=bomb,
    )
    assert [result.flagged for result in parts.results] == [True]


def test_errors_are_the_client_s_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(messages=PROMPT, model="gpt-4o")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(messages=PROMPT, model=MODEL, n=2)
    assert refused.value.param == "n"
    image: Any = {"type": "image_url", "image_url": {"url": "data:,"}}
    with pytest.raises(openai.BadRequestError):
        client.moderations.create(input=[image])
