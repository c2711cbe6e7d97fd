"""LangChain's agents with the middleware, and with LangChain's own on our endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from fake_upstream import MILD
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai.middleware import OpenAIModerationMiddleware
from pages import block

from edgeguard.adapters.common import REFUSAL, FlaggedError
from edgeguard.adapters.langchain import EdgeguardMiddleware
from edgeguard.errors import InputError

pytestmark = pytest.mark.host


class Model(GenericFakeChatModel):
    """Says what it is told to, and takes tools."""

    def bind_tools(self, *_args: Any, **_options: Any) -> Model:
        return self


@tool
def look_up(what: str) -> str:
    """Look something up."""
    return f"What is known of {what} is unsafe."


def agent(middleware: Any, *answers: AIMessage | str) -> Any:
    said = [AIMessage(each) if isinstance(each, str) else each for each in answers]
    return create_agent(Model(messages=iter(said)), [look_up], middleware=[middleware])


def ask(chain: Any, *messages: BaseMessage | str) -> list[BaseMessage]:
    given = [HumanMessage(each) if isinstance(each, str) else each for each in messages]
    found: list[BaseMessage] = chain.invoke({"messages": given})["messages"]
    return found


def test_what_is_safe_passes(guard: Any) -> None:
    found = ask(agent(EdgeguardMiddleware(guard), "It is Paris."), "What is the capital?")
    assert [each.text for each in found] == ["What is the capital?", "It is Paris."]


def test_it_is_awaited_too(guard: Any) -> None:
    chain = agent(EdgeguardMiddleware(guard), "That is unsafe.")
    found = asyncio.run(chain.ainvoke({"messages": [HumanMessage("What?")]}))["messages"]
    assert [each.text for each in found] == ["What?", REFUSAL]


def test_the_model_is_not_asked_what_is_flagged(guard: Any) -> None:
    found = ask(agent(EdgeguardMiddleware(guard, refusal="No.")), "Say something unsafe.")
    assert [each.text for each in found] == ["Say something unsafe.", "No."]


def test_an_answer_that_is_flagged_is_replaced(guard: Any) -> None:
    found = ask(agent(EdgeguardMiddleware(guard), "Here is what is unsafe."), "What?")
    assert [each.text for each in found] == ["What?", REFUSAL]


def test_what_a_tool_says_and_what_is_asked_of_it(guard: Any) -> None:
    call = AIMessage("", tool_calls=[{"name": "look_up", "args": {"what": "it"}, "id": "1"}])
    found = ask(agent(EdgeguardMiddleware(guard), call, "So it is."), "What?")
    assert [each.type for each in found] == ["human", "ai", "tool", "ai"]
    assert found[-1].text == REFUSAL
    call = AIMessage("", tool_calls=[{"name": "look_up", "args": {"what": "unsafe"}, "id": "1"}])
    found = ask(agent(EdgeguardMiddleware(guard), call, "So it is."), "What?")
    assert [each.text for each in found] == ["What?", REFUSAL]  # the tool was never called


def test_it_raises_if_wanted(guard: Any) -> None:
    chain = agent(EdgeguardMiddleware(guard, exit_behavior="error"), "unsafe")
    for given in ("Say something unsafe.", "What?"):
        with pytest.raises(FlaggedError) as raised:
            ask(chain, given)
        assert raised.value.verdict.categories == ("Violent",)
        assert given not in str(raised.value)


def test_what_cannot_be_judged_does_not_pass(guard: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    for content in ([image], [{"type": "text", "text": "a"}, image], " "):
        with pytest.raises(InputError):
            ask(agent(EdgeguardMiddleware(guard), "a"), HumanMessage(content))


@pytest.mark.parametrize(("path", "mode"), [("/v1", "prompt"), ("/response/v1", "response")])
def test_langchain_s_own_middleware(url: str, path: str, mode: str) -> None:
    with openai.OpenAI(api_key="x", base_url=url + path) as client:
        own = OpenAIModerationMiddleware(
            client=client, check_input=mode == "prompt", check_output=mode == "response"
        )
        assert ask(agent(own, "It is Paris."), "What?")[-1].text == "It is Paris."
        given, answer = ("unsafe", "a") if mode == "prompt" else ("a", "unsafe")
        assert ask(agent(own, answer), given)[-1].text != answer


def test_what_the_page_shows(
    guard: Any, url: str, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeguard.adapters.langchain.default_guard", lambda: guard)
    monkeypatch.setenv("OPENAI_BASE_URL", upstream)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    shown: dict[str, Any] = {}
    exec(block("langchain", "python"), shown)
    assert shown["ask"]("What is the capital?") == MILD
    assert "".join(shown["stream"]("What is the capital?")).strip() == MILD
    for text in ("Say something unsafe.", "Do harm."):
        assert shown["ask"](text) == REFUSAL
        assert "what is unsafe" not in "".join(shown["stream"](text))
    exec(block("langchain", "python", 1, server=url), shown)
    own = create_agent(Model(messages=iter([AIMessage("unsafe")])), middleware=shown["middleware"])
    assert ask(own, "What?")[-1].text != "unsafe"
