"""The filter of Open WebUI, called as the product calls it (product.py)."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from open_webui_product import Product, Turn, seen

pytestmark = pytest.mark.host

FILE = Path(__file__).parents[3] / "edgeguard" / "adapters" / "open_webui.py"
Json = dict[str, Any]
REFUSAL = "This was withheld by the safety filter."
NOT_JUDGED = "This could not be checked by the safety filter, and is withheld."
STORY = "First a mild sentence. Then what is unsafe, and how it is done."


def made(url: str, **valves: Any) -> Any:
    return Product(FILE.read_text("utf-8"), url=url, **valves)


def user(content: Any) -> Json:
    return {"role": "user", "content": content, "id": "m1", "timestamp": 1764000000}


def turn(content: Any = "What is the capital?", message_id: str | None = "m2") -> Any:
    return Turn([user(content)], message_id)


def event(delta: Json, ends: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": ends, "logprobs": None}
    return {"id": "e1", "object": "chat.completion.chunk", "choices": [choice], **more}


def answer(*pieces: str, field: str = "content") -> list[Json]:
    return [
        event({"role": "assistant", "content": ""}),
        *(event({field: piece}) for piece in pieces),
        event({}, "stop"),
        {"id": "e1", "choices": [], "usage": {"total_tokens": 1}},
    ]


def browse(product: Any, asked: Any, events: Iterable[Json]) -> tuple[Json, Json]:
    return asyncio.run(product.browser(asked, events))


def over_api(product: Any, asked: Any, events: Iterable[Json]) -> list[Json]:
    async def run() -> list[Json]:
        return [each async for each in product.api(asked, events)]

    return asyncio.run(run())


def text_of(events: list[Json]) -> str:
    deltas = [choice["delta"] for each in events for choice in each.get("choices", [])]
    return "".join(
        str(value) for delta in deltas for value in delta.values() if value != "assistant"
    )


def test_what_is_safe_passes_unchanged(url: str) -> None:
    shown, stored = browse(made(url), turn(), answer("It ", "is ", "Paris."))
    assert seen(shown) == seen(stored) == "It is Paris."
    for message_id in ("m2", None):
        events = over_api(made(url), turn(message_id=message_id), answer("It ", "is ", "Paris."))
        assert text_of(events) == "It is Paris."
        assert events[-1] == {"id": "e1", "choices": [], "usage": {"total_tokens": 1}}
        assert [each["choices"][0]["finish_reason"] for each in events[:-1]] == [
            None, None, None, None, "stop",
        ]  # fmt: skip


def test_a_prompt_that_is_flagged_ends_the_turn(url: str) -> None:
    with pytest.raises(ValueError, match=REFUSAL):
        browse(made(url), turn("unsafe"), answer("a"))


@pytest.mark.parametrize("interval", [1, 5, 20, 1000])
@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "thinking"])
def test_nothing_is_shown_past_the_last_verdict(url: str, interval: int, field: str) -> None:
    events = over_api(made(url, interval=interval), turn(), answer(*STORY, field=field))
    text = text_of(events)
    assert text.endswith(REFUSAL)
    released = text.removesuffix(REFUSAL)
    assert STORY.startswith(released)
    assert "unsafe" not in released
    if interval == 1:
        assert released == STORY[: STORY.index("unsafe") + len("unsafe") - 1]
    assert events[-2]["choices"][0]["finish_reason"] == "content_filter"
    shown, stored = browse(made(url, interval=interval), turn(), answer(*STORY, field=field))
    assert "unsafe" not in seen(shown) + seen(stored)
    assert REFUSAL in seen(shown)


def test_a_stream_grows_while_it_is_safe(url: str) -> None:
    events = over_api(made(url, interval=10), turn(), answer(*["word "] * 10))
    assert sum(bool(text_of([each])) for each in events) > 3
    assert text_of(events) == "word " * 10


def test_an_answer_is_judged_in_its_context(url: str) -> None:
    product = made(url, check_prompts=False)
    assert seen(browse(product, turn("unsafe"), answer("Yes."))[0]) == REFUSAL
    assert text_of(over_api(product, turn("unsafe", None), answer("Yes."))) == REFUSAL


def test_calls_of_tools_wait_for_their_verdict(url: str) -> None:
    """The product runs whatever calls have reached it when a stream ends."""

    def calling(argument: str) -> list[Json]:
        first = {"index": 0, "id": "1", "function": {"name": "look_up", "arguments": '{"a": '}}
        rest = {"index": 0, "function": {"arguments": f'"{argument}"}}'}}
        return [
            event({"role": "assistant", "content": "Let me see."}),
            event({"tool_calls": [first]}),
            event({"tool_calls": [rest]}),
            event({}, "tool_calls"),
        ]

    shown, _ = browse(made(url), turn(), calling("Paris"))
    assert [each["function"]["arguments"] for each in shown["tool_calls"]] == ['{"a": ', '"Paris"}']
    shown, _ = browse(made(url), turn(), calling("unsafe"))
    assert (shown["tool_calls"], seen(shown)) == ([], REFUSAL)
    # The next round has the same message, and the calls with their results in the body.
    call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    rounds = turn()
    rounds.messages += [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "It is Paris."},
    ]
    assert seen(browse(made(url), rounds, answer("It is Paris."))[0]) == "It is Paris."
    rounds.messages[-1]["content"] = "unsafe"
    with pytest.raises(ValueError, match=REFUSAL):
        browse(made(url), rounds, answer("It is Paris."))


def test_what_has_no_known_form_is_not_shown(url: str) -> None:
    secret = [
        event({"content": "Mild. "}, logprobs=["unsafe"]),
        {"id": "e1", "choices": [], "new": "unsafe"},
        {"event": {"type": "message", "data": {"content": "unsafe"}}},
        {"id": "e1", "choices": [{"index": 0, "text": "unsafe", "message": {"content": "unsafe"}}]},
        event({"new": "unsafe", "function_call": {"arguments": "unsafe"}}),
        event({}, "stop"),
    ]
    secret[0]["choices"][0]["logprobs"] = {"content": [{"token": "unsafe"}]}
    events = over_api(made(url), turn(), secret)
    assert "unsafe" not in str(events)
    assert text_of(events) == "Mild. "
    with pytest.raises(ValueError, match="could not be checked"):
        over_api(made(url), turn(), ["data: {}\n\n"])  # type: ignore[list-item]
    responses = [
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "delta": "unsafe"},
        {"type": "response.completed", "response": {"output": ["unsafe"]}},
    ]
    assert text_of(over_api(made(url), turn(), responses)) == NOT_JUDGED
    assert seen(browse(made(url), turn(), responses)[0]) == NOT_JUDGED
    late = event({"annotations": [{"url_citation": {"title": "unsafe"}}]})
    assert text_of(over_api(made(url), turn(), [late, event({}, "stop")])) == REFUSAL


def test_several_choices_are_judged_apart(url: str) -> None:
    def piece(index: int, text: str, ends: str | None = None) -> Json:
        choice = {"index": index, "delta": {"content": text}, "finish_reason": ends}
        return {"id": "e1", "choices": [choice]}

    events = [piece(0, "mild"), piece(1, "unsafe"), piece(0, "", "stop"), piece(1, "", "stop")]
    found = over_api(made(url), turn(), events)
    assert [text_of([each]) for each in found] == ["", "", "mild", REFUSAL]


def stored_answer(text: str, reasoning: str = "") -> Json:
    def item(kind: str, said: str) -> Json:
        return {"type": kind, "content": [{"type": "output_text", "text": said}]}

    output = ([item("reasoning", reasoning)] if reasoning else []) + [item("message", text)]
    return {"id": "m2", "role": "assistant", "content": text, "output": output}


def finish(product: Any, message: Json) -> tuple[Json, Json]:
    return asyncio.run(product.finish(turn(), message))


def test_what_is_stored_is_rewritten_with_its_output(url: str) -> None:
    """An answer that did not stream is seen by the outlet alone."""
    for message in (
        stored_answer("unsafe"),
        stored_answer("Mild.", "unsafe"),
        {"id": "m2", "role": "assistant", "content": "unsafe"},  # before version 0.10
        {**stored_answer("unsafe"), "content": ""},  # as a chat that is not saved has it
    ):
        assert [seen(each) for each in finish(made(url), message)] == [REFUSAL, REFUSAL]
    for message in (stored_answer("It is Paris.", "Hm."), stored_answer(REFUSAL)):
        shown, stored = finish(made(url), message)
        assert seen(shown) == seen(stored) == seen(message)


def test_what_outlet_cannot_read_is_rewritten_too(url: str) -> None:
    for content in ([{"type": "text", "text": "unsafe"}], {"a": "unsafe"}, 7):
        message = {"id": "m2", "role": "assistant", "content": content, "output": 7}
        body = {"messages": [user("What?"), message]}
        after = asyncio.run(made(url)._call("outlet", body, turn()))
        assert after["messages"][-1]["content"] == NOT_JUDGED
        assert "unsafe" not in str(after)


@pytest.fixture
def slow() -> Iterator[str]:
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=[500, 503, 200, "drip"])
def broken(request: Any) -> Iterator[str]:
    """Answers with an error, with what is no verdict, or a byte now and then."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status = 200 if request.param == "drip" else request.param
            self.send_response(status)
            self.end_headers()
            for _ in range(40 if request.param == "drip" else 1):
                self.wfile.write(b" " if request.param == "drip" else b'{"verdict": "Safe"}')
                time.sleep(0.1 if request.param == "drip" else 0)

        def log_message(self, *_args: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def nothing_passes(url: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match="could not be checked"):
        browse(made(url, timeout=1), turn(), answer("a"))
    product = made(url, timeout=1, check_prompts=False)
    assert seen(browse(product, turn(), answer("It is ", "Paris."))[0]) == NOT_JUDGED
    assert text_of(over_api(product, turn(), answer("It is ", "Paris."))) == NOT_JUDGED
    assert seen(finish(product, stored_answer("It is Paris."))[1]) == NOT_JUDGED
    assert time.monotonic() - started < 15


def test_without_a_server_nothing_passes() -> None:
    nothing_passes("http://127.0.0.1:9")
    nothing_passes("not an address")


def test_with_a_slow_server_nothing_passes(slow: str) -> None:
    nothing_passes(slow)


def test_with_a_broken_server_nothing_passes(broken: str) -> None:
    nothing_passes(broken)


def test_a_proxy_of_the_environment_sees_no_text(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert seen(browse(made(url), turn(), answer("It is Paris."))[0]) == "It is Paris."


def test_a_picture_does_not_pass(url: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    with pytest.raises(ValueError, match="could not be checked"):
        browse(made(url), turn([image]), answer("a"))


def test_a_long_answer_is_judged_whole(url: str) -> None:
    events = answer("word " * 20_000, "unsafe")
    assert text_of(over_api(made(url), turn(), events)).endswith(REFUSAL)


def test_many_chats_at_once_do_not_mix(url: str) -> None:
    product = made(url, interval=5)

    async def chat(number: int) -> tuple[int, str]:
        asked = Turn([user("What?")], f"m{number}")
        said = "This is unsafe." if number % 2 else f"Mild {number}."
        shown, _ = await product.browser(asked, answer(*said))
        return number, seen(shown)

    async def all_of_them() -> list[tuple[int, str]]:
        return await asyncio.gather(*map(chat, range(20)))

    for number, text in asyncio.run(all_of_them()):
        assert text.endswith(REFUSAL) if number % 2 else text == f"Mild {number}."
        assert "unsafe" not in text
    assert product.filter._streams == {}


def test_answers_that_never_end_are_forgotten(url: str) -> None:
    """As of who has left."""
    product = made(url)

    async def all_of_them() -> None:
        for number in range(1100):
            left = Turn([], f"m{number}")
            assert await product._call("stream", event({"content": "a"}), left)

    asyncio.run(all_of_them())
    assert len(product.filter._streams) == 1000
