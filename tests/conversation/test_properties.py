"""Any JSON gives a conversation with something to judge, or an InputError; and which are judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import Guard, InputError
from edgeguard.conversation import Conversation, read_messages
from edgeguard.conversation.forms import AUTO, FORMS
from edgeguard.conversation.turn import SPEAKERS
from edgeguard.protocol.question import question
from edgeguard.protocol.visible import has_visible
from edgeguard.session.fake import FakeSession

WORDS = [
    "role", "content", "type", "text", "from", "value", "data", "lc", "id", "kwargs", "author",
    "recipient", "parts", "content_type", "tool_calls", "function_call", "function", "name",
    "arguments", "input", "refusal", "audio", "transcript", "images", "reasoning_content",
    "messages", "conversations", "mapping", "current_node", "parent", "message", "system", "source",
    "functionCall", "functionResponse", "response", "output", "additional_kwargs", "thought",
]  # fmt: skip
TEXTS = [
    *SPEAKERS, "hello", "", " ", "text", "image_url", "tool_use", "tool_result", "thinking",
    "reasoning", "message", "function_call", "function_call_output", "document", "search_result",
    "refusal", "a", "all", "\ud800", "<|im_start|>user\nhello<|im_end|>", "thoughts", "chat",
]  # fmt: skip
texts = st.sampled_from(TEXTS) | st.text(max_size=3)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=20,
)
messages = st.lists(st.dictionaries(st.sampled_from(WORDS), values, max_size=5), max_size=4)
likely = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(sorted(SPEAKERS)), "content": texts | values},
        optional=dict.fromkeys(("tool_calls", "refusal", "audio", "parts", "images"), values),
    ),
    min_size=1,
    max_size=4,
)
options = st.fixed_dictionaries(
    {name: st.booleans() for name in ("strict", "tool_calls", "skip_media")},
    optional={"form": st.sampled_from([AUTO, *FORMS])},
)


@settings(max_examples=500, deadline=None)
@given(values | messages | likely, options)
def test_any_json_gives_a_conversation_or_an_input_error(given_: Any, how: dict[str, Any]) -> None:
    try:
        found = read_messages(given_, **how)
    except InputError:
        return
    assert has_visible(found.messages[-1].content)
    assert found.messages[-1].role in ("user", "assistant")
    assert len(found.messages) == len(found.places) == len(found.speakers)
    assert found.place >= 0
    assert all(message.role != "system" for message in found.messages[1:])
    assert found.messages[0].role != "assistant"
    question(found.messages)
    assert found.judged("last") == [found]
    each, exchange = found.judged("each"), found.judged("exchange")
    assert each[-1] == exchange[-1] == found
    assert set(exchange) <= set(each)
    for one in each:
        assert has_visible(one.messages[-1].content)


@settings(deadline=None)
@given(likely)
def test_what_strict_takes_it_takes_as_it_stands(given_: Any) -> None:
    try:
        found = read_messages(given_, strict=True)
    except InputError:
        return
    assert not found.not_judged
    assert [message.role for message in found.messages] == [one["role"] for one in given_]
    assert read_messages(given_) == found


@given(likely)
def test_a_conversation_that_was_read_is_taken_as_it_is(given_: Any) -> None:
    try:
        found = read_messages(given_)
    except InputError:
        return
    assert read_messages(found, strict=True) is found
    assert isinstance(found, Conversation)


TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "What is the weather?"},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "w"}}]},
    {"role": "tool", "content": "a kettle of rain"},
    {"role": "assistant", "content": "It rains."},
]


def _guard() -> tuple[Guard, FakeSession]:
    session = FakeSession(
        lambda asked: (
            "Safety: Unsafe\nCategories: Violent\nRefusal: No"
            if asked.rsplit("<END CONV", 1)[0].endswith("kettle of rain\n\n")
            else "Safety: Safe\nCategories: None\nRefusal: No"
        )
    )
    return Guard.with_session(session), session


@pytest.mark.parametrize(
    ("judge", "expected"),
    [("each", [1, 2, 3, 5, 6]), ("exchange", [3, 5, 6]), ("last", [6])],
)
def test_each_judged_message_has_a_verdict_that_names_it(judge: Any, expected: list[int]) -> None:
    guard, _ = _guard()
    verdicts = guard.check_turns(TALK, judge=judge)
    assert [verdict.message for verdict in verdicts] == expected
    modes = ["response" if TALK[place]["role"] == "assistant" else "prompt" for place in expected]
    assert [verdict.mode for verdict in verdicts] == modes
    assert [v.message for v in verdicts if v.flagged] == [place for place in expected if place == 5]
    for verdict in verdicts:
        passed = ("message 5: a tool call",) if verdict.message > 4 else ()
        assert verdict.not_judged == passed


def test_an_unknown_judge_is_an_error() -> None:
    guard, _ = _guard()
    with pytest.raises(InputError, match="there are: each, exchange, last"):
        guard.check_turns(TALK, judge="all")  # type: ignore[arg-type]


def test_turns_are_the_checks_of_their_conversations(nano: Guard) -> None:
    talk = [TALK[1], TALK[2], TALK[3]]
    verdicts = nano.check_turns(talk)
    for number, verdict in enumerate(verdicts, 1):
        alone = nano.check_messages(talk[:number], fresh=True)
        assert verdict.severity == alone.severity
        assert verdict.answer == alone.answer


def test_options_reach_the_reader() -> None:
    guard, session = _guard()
    verdict = guard.check_messages(TALK[:5], tool_calls=True)
    assert (verdict.message, verdict.not_judged) == (4, ())
    asked = b"".join(session.token_bytes(token) for token in session.reads[-1]).decode()
    assert 'ASSISTANT: <tool_call>\n{"name": "w", "arguments": {}}\n</tool_call>' in asked
    with pytest.raises(InputError, match="no place for"):
        guard.check_messages(TALK, strict_messages=True)
    rows = list(guard.check_many([TALK, {"messages": TALK}], strict_messages=True))
    assert all(isinstance(row, InputError) for row in rows)
    picture: list[dict[str, Any]] = [{"role": "user", "content": ["a", {"type": "image"}]}]
    assert guard.begin(picture, skip_media=True).verdict().not_judged == ("message 1: an image",)
