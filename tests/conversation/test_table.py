"""Every row of the tables in docs/conversations.md, by its name: what is shown, what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgeguard import InputError
from edgeguard.conversation import Conversation, read_messages

TABLE = Path(__file__).resolve().parents[2] / "docs" / "conversations.md"
USER = {"role": "user", "content": "Hello"}
SAID = {"role": "assistant", "content": "Hi!"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
CALL = {"id": "c", "type": "function", "function": {"name": "tell", "arguments": '{"a": 1}'}}
CALL_TEXT = '<tool_call>\n{"name": "tell", "arguments": {"a": 1}}\n</tool_call>'
U, A, S = "user", "assistant", "system"

Shown = list[tuple[str, str]]


def shown(found: Conversation) -> Shown:
    return [(message.role, message.content) for message in found.messages]


def parts(*content: Any, role: str = U) -> list[Any]:
    return [{"role": role, "content": list(content)}]


def text(value: str, kind: str = "text") -> dict[str, str]:
    return {"type": kind, "text": value}


# name, what comes, options, what is shown (or what the error says), not_judged, strict is the same
CASES: list[tuple[str, Any, dict[str, bool], Shown | str, tuple[str, ...], bool]] = [
    ("text", [USER], {}, [(U, "Hello")], (), True),
    ("one-part", parts(text("Hello")), {}, [(U, "Hello")], (), True),
    ("one-part", parts(text("Hello", "input_text")), {}, [(U, "Hello")], (), True),
    (
        "one-part",
        [USER, *parts(text("Hi", "output_text"), role=A)],
        {},
        [(U, "Hello"), (A, "Hi")],
        (),
        True,
    ),
    ("one-part", parts({"text": "Hello"}), {}, [(U, "Hello")], (), True),
    ("parts", parts(text("a"), text("b")), {}, [(U, "a\nb")], (), False),
    ("string-parts", parts("a", "b"), {}, [(U, "a\nb")], (), False),
    (
        "refusal",
        [USER, *parts({"type": "refusal", "refusal": "No."}, role=A)],
        {},
        [(U, "Hello"), (A, "No.")],
        (),
        True,
    ),
    (
        "refusal",
        [USER, {"role": A, "content": None, "refusal": "No."}],
        {},
        [(U, "Hello"), (A, "No.")],
        (),
        True,
    ),
    (
        "media",
        parts(text("a"), IMAGE),
        {},
        "message 1 has an image, which cannot be judged",
        (),
        False,
    ),
    (
        "media",
        parts(text("a"), IMAGE),
        {"skip_media": True},
        [(U, "a")],
        ("message 1: an image",),
        False,
    ),
    (
        "media",
        parts(text("a"), {"type": "input_audio"}, {"type": "file"}, {"type": "file"}),
        {"skip_media": True},
        [(U, "a")],
        ("message 1: a sound", "message 1: 2 files"),
        False,
    ),
    (
        "media",
        [{**USER, "images": ["AA=="]}],
        {"skip_media": True},
        [(U, "Hello")],
        ("message 1: an image",),
        False,
    ),
    (
        "media",
        parts(text("a"), {"type": "document", "source": {"type": "base64"}}),
        {},
        "has a file",
        (),
        False,
    ),
    (
        "only-media",
        [*parts(IMAGE), USER],
        {"skip_media": True},
        [(U, "Hello")],
        ("message 1: an image",),
        False,
    ),
    (
        "only-media",
        [USER, *parts(IMAGE)],
        {"skip_media": True},
        "nothing to judge: message 2 has no text, only an image",
        (),
        False,
    ),
    (
        "transcript",
        [USER, {"role": A, "content": None, "audio": {"id": "x", "transcript": "Hi"}}],
        {"skip_media": True},
        [(U, "Hello"), (A, "Hi")],
        ("message 2: a sound",),
        False,
    ),
    (
        "unknown-part",
        parts(text("a"), {"type": "poem", "poem": "b"}),
        {},
        "message 1 has a part of a type",
        (),
        True,
    ),
    ("unknown-part", parts({"poem": "b"}), {}, "message 1 has a part without a type", (), True),
    (
        "calls",
        [USER, {**SAID, "tool_calls": [CALL]}],
        {},
        [(U, "Hello"), (A, "Hi!")],
        ("message 2: a tool call",),
        False,
    ),
    (
        "calls",
        [USER, {**SAID, "tool_calls": [CALL]}],
        {"tool_calls": True},
        [(U, "Hello"), (A, "Hi!\n" + CALL_TEXT)],
        (),
        False,
    ),
    (
        "calls",
        [USER, {"role": A, "content": "", "function_call": CALL["function"]}],
        {"tool_calls": True},
        [(U, "Hello"), (A, CALL_TEXT)],
        (),
        False,
    ),
    (
        "calls",
        [USER, *parts({"type": "tool_use", "name": "tell", "input": {"a": 1}}, role=A)],
        {"tool_calls": True},
        [(U, "Hello"), (A, CALL_TEXT)],
        (),
        False,
    ),
    (
        "calls",
        [USER, {"role": "model", "parts": [{"functionCall": {"name": "tell", "args": {"a": 1}}}]}],
        {"tool_calls": True},
        [(U, "Hello"), (A, CALL_TEXT)],
        (),
        False,
    ),
    (
        "only-calls",
        [
            USER,
            {"role": A, "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "7"},
        ],
        {},
        [(U, "Hello"), (U, "7")],
        ("message 2: a tool call",),
        False,
    ),
    (
        "only-calls",
        [USER, {"role": A, "content": None, "tool_calls": [CALL, CALL]}],
        {},
        r"only a tool call; tool_calls=True \(--tool-calls\)",
        (),
        False,
    ),
    (
        "null",
        [{"role": U, "content": None}, SAID],
        {},
        "message 1 has no text: 'content' is null",
        (),
        True,
    ),
    ("null", [{"role": U}, SAID], {}, "message 1 has no text: there is no 'content'", (), True),
    ("null", parts(), {}, "message 1 has no text: 'content' is an empty list", (), True),
    ("empty", [{"role": U, "content": ""}, SAID], {}, [(U, ""), (A, "Hi!")], (), True),
    ("empty", [{"role": U, "content": ""}], {}, "the text is empty", (), True),
    (
        "thinking",
        [USER, *parts({"type": "thinking", "thinking": "hm"}, text("Hi"), role=A)],
        {},
        [(U, "Hello"), (A, "Hi")],
        ("message 2: its thinking",),
        False,
    ),
    (
        "thinking",
        [USER, {**SAID, "reasoning_content": "hm"}],
        {},
        [(U, "Hello"), (A, "Hi!")],
        ("message 2: its thinking",),
        False,
    ),
    ("thinking", [USER, {"type": "reasoning", "summary": []}], {}, "only its thinking", (), False),
    (
        "think-tags",
        [USER, {"role": A, "content": "<think>hm</think>Hi"}],
        {},
        [(U, "Hello"), (A, "<think>hm</think>Hi")],
        (),
        True,
    ),
    (
        "developer",
        [{"role": "developer", "content": "S"}, USER],
        {},
        [(S, "S"), (U, "Hello")],
        (),
        False,
    ),
    (
        "tool",
        [USER, {"role": "tool", "tool_call_id": "c", "content": "7"}],
        {},
        [(U, "Hello"), (U, "7")],
        (),
        False,
    ),
    (
        "tool",
        [USER, {"role": "function", "name": "f", "content": "7"}],
        {},
        [(U, "Hello"), (U, "7")],
        (),
        False,
    ),
    (
        "tool-result",
        [USER, *parts({"type": "tool_result", "content": [text("7")]}, text("so?"))],
        {},
        [(U, "Hello"), (U, "7\nso?")],
        (),
        False,
    ),
    (
        "tool-result",
        [{"role": U, "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]}],
        {},
        [(U, '{"a": 1}')],
        (),
        True,
    ),
    (
        "other-roles",
        [{"role": "human", "content": "a"}, {"role": "Assistant", "content": "b"}],
        {},
        [(U, "a"), (A, "b")],
        (),
        False,
    ),
    (
        "other-roles",
        [USER, {"role": "bot", "content": "b"}],
        {},
        [(U, "Hello"), (A, "b")],
        (),
        False,
    ),
    (
        "unknown-role",
        [{"role": "zebra", "content": "x"}],
        {},
        "message 1 has an unknown role; known roles",
        (),
        True,
    ),
    (
        "unknown-role",
        [{"role": ["user"], "content": "x"}],
        {},
        "message 1 has an unknown role",
        (),
        True,
    ),
    ("unknown-role", [{"content": "x"}], {}, "message 1 has no role", (), True),
    (
        "systems",
        [{"role": S, "content": "a"}, {"role": S, "content": "b"}, USER],
        {},
        [(S, "a\n\nb"), (U, "Hello")],
        (),
        False,
    ),
    (
        "late-system",
        [USER, {"role": S, "content": "b"}, SAID],
        {},
        [(U, "Hello"), (U, "b"), (A, "Hi!")],
        (),
        False,
    ),
    (
        "last-system",
        [USER, {"role": S, "content": "b"}],
        {},
        "last message is a system message",
        (),
        False,
    ),
    (
        "last-system",
        [{"role": S, "content": "b"}],
        {},
        "last message is a system message",
        (),
        True,
    ),
    ("assistant-first", [SAID, USER], {}, [(U, ""), (A, "Hi!"), (U, "Hello")], (), False),
    (
        "more-fields",
        [{**USER, "name": "Ann", "id": 7, "whatever": {"a": ["b"]}}],
        {},
        [(U, "Hello")],
        (),
        True,
    ),
    (
        "two-forms",
        [{**USER, "from": "human", "value": "Hi"}],
        {},
        "message 1 has the fields of two forms, openai and sharegpt",
        (),
        True,
    ),
    ("nothing", [], {}, "no message to judge", (), True),
    ("nothing", [{"role": U, "content": "\u200b"}], {}, "no visible character", (), True),
    ("nothing", ["text"], {}, "message 1 is not an object", (), True),
    ("nothing", "text", {}, "must be a list", (), True),
    ("nothing", {"role": U}, {}, "must be a list", (), True),
    ("unicode", [{"role": U, "content": "ab\ud83d"}], {}, r"U\+D83D at character 2", (), True),
]


@pytest.mark.parametrize(("name", "messages", "options", "expected", "passed", "same"), CASES)
def test_a_row(
    name: str,
    messages: Any,
    options: dict[str, Any],
    expected: Shown | str,
    passed: tuple[str, ...],
    same: bool,
) -> None:
    assert name
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            read_messages(messages, **options)
    else:
        found = read_messages(messages, **options)
        assert (shown(found), found.not_judged) == (expected, passed)
        if same:
            assert shown(read_messages(messages, strict=True)) == expected
    if not same:
        with pytest.raises(InputError, match="the official template has no place for"):
            read_messages(messages, strict=True, **options)


HI: Shown = [(U, "Hello"), (A, "Hi!")]
LC = ["langchain", "schema", "messages"]
TREE = {
    "title": "t",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["s"]},
        "s": {
            "message": {"author": {"role": S}, "content": {"content_type": "text", "parts": [""]}},
            "parent": "root",
        },
        "u": {
            "message": {
                "author": {"role": U},
                "content": {"content_type": "text", "parts": ["Hello"]},
            },
            "parent": "s",
        },
        "old": {
            "message": {"author": {"role": A}, "content": {"content_type": "text", "parts": ["x"]}},
            "parent": "u",
        },
        "a": {
            "message": {
                "author": {"role": A},
                "recipient": "all",
                "content": {"content_type": "text", "parts": ["Hi!"]},
            },
            "parent": "u",
        },
    },
    "current_node": "a",
}
FORMS: list[tuple[str, str, Any, Shown]] = [
    ("form-openai", "openai", [USER, SAID], HI),
    ("form-openai", "openai", {"messages": [USER, SAID], "tools": []}, HI),
    (
        "form-openai",
        "openai",
        {
            "contents": [
                {"role": U, "parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"text": "Hi!"}]},
            ]
        },
        HI,
    ),
    (
        "form-responses",
        "responses",
        [
            {"type": "message", "role": U, "content": [text("Hello", "input_text")]},
            {"type": "message", "role": A, "content": [text("Hi!", "output_text")]},
        ],
        HI,
    ),
    (
        "form-responses",
        "responses",
        {"input": "Hello", "instructions": "S"},
        [(S, "S"), (U, "Hello")],
    ),
    (
        "form-responses",
        "responses",
        [
            USER,
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "7"},
        ],
        [(U, "Hello"), (U, "7")],
    ),
    (
        "form-anthropic",
        "anthropic",
        {"system": [text("S")], "messages": [USER, SAID]},
        [(S, "S"), *HI],
    ),
    (
        "form-sharegpt",
        "sharegpt",
        [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi!"}],
        HI,
    ),
    (
        "form-sharegpt",
        "sharegpt",
        {
            "conversations": [
                {"from": "human", "value": "Hello"},
                {"from": "function_call", "value": "{}"},
                {"from": "observation", "value": "7"},
            ],
            "system": "S",
        },
        [(S, "S"), (U, "Hello"), (U, "7")],
    ),
    (
        "form-langchain",
        "langchain",
        [
            {"type": "human", "data": {"content": "Hello", "type": "human"}},
            {"type": "ai", "data": {"content": [text("Hi!")], "tool_calls": []}},
        ],
        HI,
    ),
    (
        "form-langchain",
        "langchain",
        [
            {
                "lc": 1,
                "type": "constructor",
                "id": [*LC, "HumanMessage"],
                "kwargs": {"content": "Hello"},
            },
            {
                "lc": 1,
                "type": "constructor",
                "id": [*LC, "AIMessageChunk"],
                "kwargs": {"content": "Hi!"},
            },
        ],
        HI,
    ),
    (
        "form-langchain",
        "langchain",
        [{"content": "Hello", "type": "human", "name": None}, {"content": "Hi!", "type": "ai"}],
        HI,
    ),
    (
        "form-langchain",
        "langchain",
        {
            "lc": 1,
            "type": "constructor",
            "id": ["ChatPromptValue"],
            "kwargs": {
                "messages": [{"lc": 1, "id": ["HumanMessage"], "kwargs": {"content": "Hello"}}]
            },
        },
        [(U, "Hello")],
    ),
    ("form-chatgpt", "chatgpt", TREE, HI),
    (
        "form-chatml",
        "chatml",
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi!<|im_end|>\n",
        HI,
    ),
    (
        "form-chatml",
        "chatml",
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        [(U, "Hello")],
    ),
    (
        "form-rows",
        "openai",
        {
            "conversation": [
                {**USER, "language": "English", "hashed_ip": "ab"},
                {**SAID, "toxic": False},
            ],
            "turn": 1,
        },
        HI,
    ),
    ("form-batch", "openai", {"messages": [USER], "model": "m", "max_tokens": 5}, [(U, "Hello")]),
]


@pytest.mark.parametrize(("name", "form", "given", "expected"), FORMS)
def test_a_form(name: str, form: str, given: Any, expected: Shown) -> None:
    assert name
    assert shown(read_messages(given)) == expected
    assert shown(read_messages(given, form=form)) == expected


def test_objects_of_clients_are_read() -> None:
    """The row form-objects."""
    from openai.types.chat import ChatCompletionMessage

    answer = ChatCompletionMessage(role="assistant", content="Hi!")
    assert shown(read_messages([USER, answer])) == HI


def test_every_row_of_the_tables_has_a_test() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \|", TABLE.read_text(encoding="utf-8"), re.M)
    tested = {case[0] for case in CASES} | {case[0] for case in FORMS} | {"form-objects"}
    assert {row for row in rows if row not in ("row", "library")} == tested


@pytest.mark.parametrize(
    ("given", "form", "said"),
    [
        ([USER], "sharegpt", "message 1 has no text: 'value' is NoneType"),
        ([{"from": "human", "value": "a"}], "openai", "message 1 has no role"),
        ([USER], "chatml", "ChatML is a text"),
        ([USER], "chatgpt", "an object for each conversation"),
        ({"messages": [USER]}, "chatgpt", "this has none"),
        ("Hello", "chatml", "not ChatML"),
        ("<|im_start|>user\nHello<|im_end|>\nmore", "auto", "message 1 does not end"),
        ("<|im_start|>user\nHello<|im_start|>user\nHi<|im_end|>", "auto", "message 1 does not end"),
        ({"messages": [USER], "conversation": [USER]}, "auto", "messages and conversation"),
        ({"messages": [USER], "system": "a", "instructions": "b"}, "auto", "only one system text"),
        ({"mapping": TREE["mapping"]}, "auto", "several ends"),
        ({"mapping": TREE["mapping"], "current_node": "x"}, "auto", "broken"),
        ([USER], "zebra", "there are: openai"),
    ],
)
def test_a_wrong_guess_is_an_error(given: Any, form: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_messages(given, form=form)


def test_an_error_never_quotes_the_content() -> None:
    for bad in (
        [{"role": "user", "content": "a secret \udc00"}],
        [{"role": "a secret", "content": "a secret"}],
        [{"role": "user", "content": [{"type": "a secret", "text": 5}]}],
        "<|im_start|>a secret",
    ):
        with pytest.raises(InputError) as caught:
            read_messages(bad)
        assert "secret" not in str(caught.value)
