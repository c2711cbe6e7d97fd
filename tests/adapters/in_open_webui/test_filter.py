"""The filter of Open WebUI, by the contract that its documents give.

The product itself needs torch. It executes the file, makes one Filter, sets its valves, and calls
the three functions with what their signatures name.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host

FILE = Path(__file__).parents[3] / "edgeguard" / "adapters" / "open_webui.py"
USER = {"role": "user", "content": "What is the capital?", "id": "m1", "timestamp": 1764000000}
META = {"message_id": "m2", "chat_id": "c"}


@pytest.fixture
def filter_(url: str) -> Any:
    return made(url)


def made(url: str, **valves: Any) -> Any:
    names: dict[str, Any] = {"__name__": "function_edgeguard"}
    exec(compile(FILE.read_text("utf-8"), "<function>", "exec"), names)
    found = names["Filter"]()
    found.valves = found.Valves(**{**found.valves.model_dump(), "url": url, **valves})
    return found


def inlet(filter_: Any, *messages: dict[str, Any]) -> dict[str, Any]:
    body = {"model": "m", "messages": list(messages), "stream": True}
    return dict(asyncio.run(filter_.inlet(body, __metadata__=META)))


def stream(filter_: Any, *pieces: str, ends: bool = True) -> list[str]:
    """What is shown after each piece."""
    found = []
    events = [{"choices": [{"index": 0, "delta": {"content": each}}]} for each in pieces]
    if ends:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    for event in events:
        after = asyncio.run(filter_.stream(event, __metadata__=META))
        found.append(after["choices"][0]["delta"].get("content") or "")
    return found


def test_what_is_safe_passes_unchanged(filter_: Any) -> None:
    assert inlet(filter_, USER)["messages"] == [USER]
    assert "".join(stream(filter_, "It ", "is ", "Paris.")) == "It is Paris."
    usage = {"choices": [], "usage": {"total_tokens": 1}}
    assert asyncio.run(filter_.stream(dict(usage), __metadata__=META)) == usage
    body = {"messages": [USER, {"role": "assistant", "content": "It is Paris."}]}
    assert asyncio.run(filter_.outlet(body))["messages"][-1]["content"] == "It is Paris."


def test_a_prompt_that_is_flagged_ends_the_turn(filter_: Any) -> None:
    with pytest.raises(ValueError, match=filter_.valves.refusal):
        inlet(filter_, {"role": "user", "content": "unsafe"})


@pytest.mark.parametrize("interval", [1, 5, 20, 1000])
def test_nothing_is_shown_past_the_last_verdict(url: str, interval: int) -> None:
    filter_ = made(url, interval=interval)
    inlet(filter_, USER)
    said = "First a mild sentence. Then what is unsafe, and how it is done."
    shown = stream(filter_, *said)
    mild = said[: said.index("unsafe") + len("unsafe")]
    text = "".join(shown)
    assert text.endswith(filter_.valves.refusal)
    released = text.removesuffix(filter_.valves.refusal)
    assert mild.startswith(released)
    assert "unsafe" not in released
    if interval == 1:
        assert released == mild[:-1]


def test_a_stream_grows_while_it_is_safe(url: str) -> None:
    filter_ = made(url, interval=10)
    inlet(filter_, USER)
    shown = stream(filter_, *["word "] * 10)
    assert sum(map(bool, shown)) > 3
    assert "".join(shown) == "word " * 10


def test_an_answer_is_judged_in_its_context(url: str) -> None:
    filter_ = made(url, check_prompts=False)
    inlet(filter_, {"role": "user", "content": "unsafe"})
    assert "".join(stream(filter_, "Yes.")) == filter_.valves.refusal


def test_what_is_stored_is_rewritten(filter_: Any) -> None:
    body = {"messages": [USER, {"role": "assistant", "content": "unsafe", "id": "m2"}]}
    after = asyncio.run(filter_.outlet(body))["messages"]
    assert [each["content"] for each in after] == [USER["content"], filter_.valves.refusal]


def test_without_a_server_nothing_passes() -> None:
    filter_ = made("http://127.0.0.1:9", timeout=1)
    with pytest.raises(ValueError, match="could not be checked"):
        inlet(filter_, USER)
    assert "".join(stream(filter_, "It is ", "Paris.")) == filter_.valves.not_judged
    body = {"messages": [USER, {"role": "assistant", "content": "It is Paris."}]}
    after = asyncio.run(filter_.outlet(body))["messages"]
    assert after[-1]["content"] == filter_.valves.not_judged


def test_a_picture_does_not_pass(filter_: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    with pytest.raises(ValueError, match="could not be checked"):
        inlet(filter_, {"role": "user", "content": [image]})


def test_two_chats_do_not_mix(filter_: Any) -> None:
    async def both() -> list[str]:
        found = {"a": "", "b": ""}
        for piece in ("It is ", "unsafe "):
            for name in found:
                text = piece if name == "a" else "mild "
                event = {"choices": [{"delta": {"content": text}}]}
                await filter_.stream(event, __metadata__={"message_id": name})
        for name in found:
            event = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
            after = await filter_.stream(event, __metadata__={"message_id": name})
            found[name] = after["choices"][0]["delta"]["content"]
        return list(found.values())

    assert asyncio.run(both()) == [filter_.valves.refusal, "mild mild "]
    assert filter_._streams == {}
