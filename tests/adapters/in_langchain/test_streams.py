"""What each stream of an agent shows of an answer that is flagged: nothing past its verdict."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool

from edgeguard.adapters.common import REFUSAL, FlaggedError
from edgeguard.adapters.langchain import EdgeguardMiddleware
from edgeguard.async_guard import AsyncGuard

pytestmark = pytest.mark.host
ASKED = {"messages": [HumanMessage("What?")]}
MILD = "This is a mild and long answer about Paris, as everybody knows."
STORY = "First a mild sentence. Then what is unsafe, and how it is done."


@pytest.fixture(autouse=True)
def _beta() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*v3 streaming protocol")
        yield


class Model(GenericFakeChatModel):
    """Streams its answers by words, and takes tools."""

    def bind_tools(self, *_args: Any, **_options: Any) -> Model:
        return self


class Calling(Model):
    """Streams a call of a tool, a few characters at a time."""

    arguments: str = "{}"

    def _stream(self, *_args: Any, **_options: Any) -> Iterator[ChatGenerationChunk]:
        pieces = [self.arguments[at : at + 4] for at in range(0, len(self.arguments), 4)]
        for place, piece in enumerate(pieces):
            named = {"name": "look_up", "id": "1"} if not place else {"name": None, "id": None}
            call = {**named, "args": piece, "index": 0}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[call]))


@tool
def look_up(what: str) -> str:
    """Look something up."""
    return f"All about {what}."


def agent(guard: Any, model: Any, **options: Any) -> Any:
    return create_agent(model, [look_up], middleware=[EdgeguardMiddleware(guard, **options)])


def saying(text: str, **options: Any) -> Model:
    return Model(messages=iter([AIMessage(text)]), **options)


def events(chain: Any) -> list[Any]:
    return list(chain.stream_events(ASKED, version="v3"))


async def awaited(chain: Any) -> list[Any]:
    return [each async for each in await chain.astream_events(ASKED, version="v3")]


def deltas(found: list[Any]) -> str:
    said = [each["params"]["data"][0] for each in found if each["method"] == "messages"]
    kinds = [each.get("delta", {}) for each in said if isinstance(each, dict)]
    return "".join(each.get("text", "") for each in kinds)


@pytest.mark.parametrize("interval", [1, 10, 1000])
@pytest.mark.parametrize("is_async", [False, True])
def test_events_are_held_back(guard: Any, interval: int, is_async: bool) -> None:
    def run(text: str) -> list[Any]:
        chain = agent(guard, saying(text), interval=interval)
        return asyncio.run(awaited(chain)) if is_async else events(chain)

    found = run(MILD)
    assert MILD.startswith(deltas(found))
    assert MILD in str(found)
    if interval < 1000:
        assert deltas(found)
    found = run(STORY)
    assert "unsafe" not in str(found)
    assert "how it is done" not in str(found)
    assert STORY.startswith(deltas(found))
    assert REFUSAL in str(found)


def test_the_projections_show_no_more(guard: Any) -> None:
    for text in (MILD, STORY):
        run = agent(guard, saying(text), interval=10).stream_events(ASKED, version="v3")
        (said,) = ["".join(message.text) for message in run.messages]
        assert "unsafe" not in said
        assert said == MILD if text is MILD else said.endswith(REFUSAL)


def test_calls_of_tools_are_held_back(guard: Any) -> None:
    for what in ("Paris", "unsafe"):
        model = Calling(messages=iter([]), arguments=json.dumps({"what": what}))
        found = events(create_agent(
            model, [look_up], middleware=[EdgeguardMiddleware(guard), Once()]
        ))  # fmt: skip
        assert ("All about Paris." in str(found)) is (what == "Paris")
        assert "unsafe" not in str(found)


def Once() -> Any:  # noqa: N802
    """Ends the run after the tools, since the model calls for ever."""
    from langchain.agents.middleware import ModelCallLimitMiddleware

    return ModelCallLimitMiddleware(run_limit=1)


@pytest.mark.parametrize("mode", ["updates", "values", ["updates", "values", "custom"]])
def test_no_state_has_it(guard: Any, mode: Any) -> None:
    assert "unsafe" not in str(list(agent(guard, saying(STORY)).stream(ASKED, stream_mode=mode)))


def test_older_streams_of_tokens_need_a_tag(guard: Any) -> None:
    """The page says so: nothing of ours sees these tokens on their way."""

    def shown(model: Any) -> str:
        found = agent(guard, model).stream(ASKED, stream_mode="messages")
        return "".join(str(chunk.text) for chunk, _ in found)

    assert "unsafe" in shown(saying(STORY))
    assert shown(saying(STORY, tags=["nostream"])) == REFUSAL
    assert shown(saying(MILD, tags=["nostream"])) == MILD


def test_it_raises_if_wanted(guard: Any) -> None:
    chain = agent(guard, saying(STORY), exit_behavior="error", interval=10)
    with pytest.raises(FlaggedError):
        events(chain)


def test_many_runs_at_once(guard: Any) -> None:
    async def one(number: int) -> bool:
        text = STORY if number % 2 else MILD
        found = str(await awaited(agent(guard, saying(text), interval=10)))
        assert "unsafe" not in found
        return (REFUSAL in found) is bool(number % 2)

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*map(one, range(10)))

    assert all(asyncio.run(all_of_them()))


def test_a_cancelled_run_harms_no_other(guard: Any) -> None:
    async def run() -> str:
        left = asyncio.ensure_future(awaited(agent(guard, saying(MILD), interval=1)))
        await asyncio.sleep(0.05)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        return str(await awaited(agent(guard, saying(MILD))))

    assert MILD in asyncio.run(run())


def test_without_a_model_nothing_passes(tmp_path: Any) -> None:
    broken = AsyncGuard(str(tmp_path / "missing.gguf"))
    for go in (events, lambda chain: chain.invoke(ASKED)):
        with pytest.raises(Exception, match=r"missing\.gguf"):
            go(agent(broken, saying(MILD)))
