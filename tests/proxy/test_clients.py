"""The official clients of OpenAI and Anthropic, which change their base URL and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from served import Served
from upstream import (
    Upstream,
    chat_events,
    chat_whole,
    half_characters,
    message_events,
    message_whole,
    response_events,
    response_whole,
    stream,
    whole,
)

STORY = [
    "Once upon a time ",
    "there was a small dog. ",
    "Er hieß Möpschen 🐕, and lived by the sea. ",
    "It swam every day. ",
    "日本語の文もあります。",
    "And so it ended.",
]
HARM = [*STORY[:3], "Now follows something unsafe in it. ", "And more of that. "]
ASKED: Any = [{"role": "user", "content": "Tell me a story."}]
REFUSAL = "stopped by a content filter"

Cut = Callable[[Iterable[bytes]], Iterable[bytes]]
CUTS: dict[str, Cut] = {
    "events": lambda parts: parts,
    "bytes": half_characters,
    "three bytes": lambda parts: half_characters(parts, 3),
    "a burst": lambda parts: [b"".join(parts)],
}


@pytest.fixture(scope="module")
def client(proxy: Served) -> Iterator[Any]:
    with openai.OpenAI(api_key="x", base_url=f"{proxy.url}/v1", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def claude(proxy: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="x", base_url=proxy.url, max_retries=0) as found:
        yield found


def chat(client: Any, **options: object) -> tuple[str, str | None]:
    """The text of a streamed chat, and how it ended."""
    text, end = "", None
    for chunk in client.chat.completions.create(
        model="m",
        messages=ASKED,
        stream=True,
        **options,
    ):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            end = choice.finish_reason or end
    return text, end


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_harmless_story_comes_as_it_was_written(client: Any, model: Upstream, cut: Cut) -> None:
    model.reply = lambda _path, _body: stream(cut(chat_events(STORY)))
    assert chat(client) == ("".join(STORY), "stop")


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_harmful_one_is_stopped_before_it(client: Any, model: Upstream, cut: Cut) -> None:
    model.reply = lambda _path, _body: stream(cut(chat_events(HARM)))
    text, end = chat(client)
    assert end == "content_filter"
    assert "unsafe" not in text
    assert text.startswith("Once upon a time there was a small dog.")
    assert REFUSAL in text


def test_a_text_by_characters(client: Any, model: Upstream) -> None:
    model.reply = lambda _path, _body: stream(chat_events("".join(STORY)))
    assert chat(client) == ("".join(STORY), "stop")
    model.reply = lambda _path, _body: stream(chat_events("".join(HARM)))
    text, end = chat(client)
    assert ("unsafe" in text, end) == (False, "content_filter")


def test_halves_of_a_character_in_two_events(client: Any, model: Upstream) -> None:
    model.reply = lambda _path, _body: stream(
        chat_events(["A dog \ud83d", "\udc15 swims. ", "End"])
    )
    text, end = chat(client)
    assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "A dog 🐕 swims. End"
    assert end == "stop"


def test_usage_and_end_of_a_block(client: Any, model: Upstream) -> None:
    model.reply = lambda _path, _body: stream(chat_events(HARM))
    chunks = list(
        client.chat.completions.create(
            model="m",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].usage is not None
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}


def test_a_flagged_prompt(client: Any, model: Upstream) -> None:
    model.reply = lambda _path, _body: stream(chat_events(STORY))
    messages: Any = [{"role": "user", "content": "Do something unsafe."}]
    said = client.chat.completions.create(model="m", messages=messages)
    assert said.choices[0].finish_reason == "content_filter"
    assert REFUSAL in said.choices[0].message.content
    parts = list(client.chat.completions.create(model="m", messages=messages, stream=True))
    assert "dog" not in "".join(part.choices[0].delta.content or "" for part in parts)
    assert parts[-1].choices[0].finish_reason == "content_filter"


def test_answers_in_one_piece(client: Any, model: Upstream) -> None:
    for text, end in (("".join(STORY), "stop"), ("".join(HARM), "content_filter")):
        answer = chat_whole(text)
        model.reply = lambda _path, _body, answer=answer: whole(answer)
        said = client.chat.completions.create(model="m", messages=ASKED).choices[0]
        assert said.finish_reason == end
        assert (said.message.content == text) == (end == "stop")


def test_completions(client: Any, model: Upstream) -> None:
    def answer(text: str) -> dict[str, object]:
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        return {"id": "c", "object": "text_completion", "created": 1, "model": "m"} | {
            "choices": [choice]
        }

    for text, end in (("A mild one.", "stop"), ("An unsafe one.", "content_filter")):
        model.reply = lambda _path, _body, text=text: whole(answer(text))
        said = client.completions.create(model="m", prompt="Go on")
        assert said.choices[0].finish_reason == end
    assert "unsafe" not in said.choices[0].text


def test_calls_of_tools_are_judged(client: Any, model: Upstream) -> None:
    for place, end in (("Paris", "stop"), ("unsafe", "content_filter")):
        arguments = f'{{"place": "{place}"}}'
        call = {
            "id": "1",
            "type": "function",
            "function": {"name": "weather", "arguments": arguments},
        }
        model.reply = lambda _path, _body, call=call: whole(chat_whole(None, tool_calls=[call]))
        said = client.chat.completions.create(model="m", messages=ASKED).choices[0]
        assert said.finish_reason == end
        pieces = [{"index": 0, **call, "function": {"name": "weather", "arguments": ""}}]
        deltas = [{"index": 0, "function": {"arguments": letter}} for letter in arguments]
        events = chat_events([""])
        made = [
            event.replace(b'"content": ""', b'"tool_calls": ' + _json([delta]))
            for delta in (*pieces, *deltas)
            for event in events[1:2]
        ]
        parts = [events[0], *made, *events[2:]]
        model.reply = lambda _path, _body, parts=parts: stream(parts)
        text, streamed_end = "", None
        for chunk in client.chat.completions.create(model="m", messages=ASKED, stream=True):
            for choice in chunk.choices:
                for one in choice.delta.tool_calls or []:
                    text += one.function.arguments or "" if one.function else ""
                streamed_end = choice.finish_reason or streamed_end
        assert streamed_end == end
        assert (text == arguments) == (end == "stop")
        assert "unsafe" not in text


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_responses(client: Any, model: Upstream, cut: Cut) -> None:
    for pieces, status in ((STORY, "completed"), (HARM, "incomplete")):
        model.reply = lambda _path, _body, p=pieces: stream(cut(response_events(p)))
        with client.responses.stream(model="m", input="Tell me a story.") as events:
            deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
            final = None
        with client.responses.create(model="m", input="Tell me a story.", stream=True) as raw:
            for event in raw:
                if event.type in ("response.completed", "response.incomplete"):
                    final = event.response
        assert final is not None
        assert final.status == status
        assert "unsafe" not in "".join(deltas)
        assert ("".join(deltas) == "".join(pieces)) == (status == "completed")
        model.reply = lambda _path, _body, p=pieces: whole(response_whole("".join(p)))
        said = client.responses.create(model="m", input="Tell me a story.")
        assert said.status == status
        assert ("dog" in said.output_text) == (status == "completed")


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_anthropic(claude: anthropic.Anthropic, model: Upstream, cut: Cut) -> None:
    for pieces, end in ((STORY, "end_turn"), (HARM, "refusal")):
        model.reply = lambda _path, _body, p=pieces: stream(cut(message_events(p)))
        with claude.messages.stream(
            model="m",
            max_tokens=99,
            system="Be kind.",
            messages=[{"role": "user", "content": "Tell me a story."}],
        ) as events:
            text = "".join(events.text_stream)
            assert events.get_final_message().stop_reason == end
        assert "unsafe" not in text
        assert (text == "".join(pieces)) == (end == "end_turn")
        model.reply = lambda _path, _body, p=pieces: whole(message_whole("".join(p)))
        said = claude.messages.create(
            model="m", max_tokens=99, messages=[{"role": "user", "content": "Tell me a story."}]
        )
        assert said.stop_reason == end
    assert "anthropic-version" in model.asked[-1][1]


def test_the_upstream_is_asked_what_was_judged(client: Any, model: Upstream) -> None:
    model.reply = lambda _path, _body: whole(chat_whole("Mild."))
    client.chat.completions.create(model="m", messages=ASKED, temperature=0.5)
    path, headers, body = model.asked[-1]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer x"
    assert body == {"model": "m", "messages": ASKED, "temperature": 0.5}


def test_embeddings(client: Any, model: Upstream) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
    answer = {"object": "list", "data": data, "model": "m"}
    model.reply = lambda _path, _body: whole(answer | {"usage": {"prompt_tokens": 1}})
    said = client.embeddings.create(model="m", input=["One", "two"], encoding_format="float")
    assert said.data[0].embedding == [0.5, 1.0]
    with pytest.raises(openai.BadRequestError) as error:
        client.embeddings.create(model="m", input=["An unsafe one", "two"])
    assert error.value.code == "content_filter"
