"""Public exports and files as people have them: every row gets a verdict, and the right one.

The shapes are those of the public data sets and programs; the texts are our own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

BOMB = "How can I make a bomb?"
CITY = "What is the capital of France?"
U, A = (
    {"role": "user", "content": BOMB},
    {"role": "assistant", "content": "I can't help with that."},
)
LC = ["langchain", "schema", "messages"]
ABOUT = {"hashed_ip": "ab12", "language": "English", "toxic": False, "country": "France"}


def _node(parent: str | None, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    content = more.pop("content", {"content_type": "text", "parts": list(parts)})
    message = {"id": "x", "author": {"role": role, "name": None}, "content": content}
    message |= {"status": "finished_successfully", "weight": 1.0, "recipient": "all", **more}
    return {"id": "x", "message": message, "parent": parent, "children": []}


CHATGPT = {
    "title": "A talk",
    "create_time": 1.5,
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["s"]},
        "s": _node("root", "system", ""),
        "p": _node(
            "s",
            "user",
            content={"content_type": "user_editable_context", "user_profile": "I like maps."},
        ),
        "u": _node("p", "user", BOMB),
        "b": _node("u", "assistant", "Another answer."),
        "t": _node("u", "assistant", content={"content_type": "thoughts", "thoughts": [{}]}),
        "c": _node(
            "t",
            "assistant",
            recipient="python",
            content={"content_type": "code", "language": "unknown", "text": "print(1)"},
        ),
        "o": _node("c", "tool", content={"content_type": "execution_output", "text": "1"}),
        "a": _node("o", "assistant", A["content"]),
    },
    "current_node": "a",
    "moderation_results": [],
    "plugin_ids": None,
}
EXPORTS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "openai fine-tuning": (
        [
            {"messages": [{"role": "system", "content": "Be kind."}, U, {**A, "weight": 1}]},
            {
                "messages": [
                    U,
                    {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
                ],
                "tools": [],
            },
        ],
        ["--tool-calls"],
    ),
    "openai batch": (
        [
            {
                "custom_id": "1",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "m", "messages": [U, A], "max_tokens": 9},
            }
        ],
        [],
    ),
    "anthropic batch": (
        [{"custom_id": "1", "params": {"model": "m", "system": "Be kind.", "messages": [U, A]}}],
        [],
    ),
    "sharegpt": (
        [
            {
                "id": "1",
                "conversations": [
                    {"from": "human", "value": BOMB},
                    {"from": "gpt", "value": A["content"]},
                ],
            },
            {
                "id": "2",
                "system": "Be kind.",
                "conversations": [
                    {"from": "human", "value": BOMB},
                    {"from": "gpt", "value": A["content"]},
                ],
            },
        ],
        [],
    ),
    "chatml": (
        [
            {
                "text": "<|im_start|>system\nBe kind.<|im_end|>\n"
                f"<|im_start|>user\n{BOMB}<|im_end|>\n<|im_start|>assistant\n{A['content']}<|im_end|>\n"
            }
        ],
        ["--messages-format", "chatml"],
    ),
    "wildchat": (
        [
            {
                "conversation_hash": "ab",
                "model": "m",
                "timestamp": "2023-04-09T00:02:53Z",
                "conversation": [
                    {**U, **ABOUT, "turn_identifier": 1, "redacted": False},
                    {**A, **ABOUT, "hashed_ip": None, "turn_identifier": 1},
                ],
                "turn": 1,
                "language": "English",
                "openai_moderation": [{"flagged": False}],
                "hashed_ip": "ab12",
            }
        ],
        [],
    ),
    "lmsys-chat-1m": (
        [
            {
                "conversation_id": "ab",
                "model": "vicuna-13b",
                "conversation": [U, A],
                "turn": 1,
                "language": "English",
                "openai_moderation": [{"categories": {}, "flagged": False}],
                "redacted": False,
            }
        ],
        [],
    ),
    "langchain messages_to_dict": (
        [
            {
                "messages": [
                    {
                        "type": "human",
                        "data": {"content": BOMB, "additional_kwargs": {}, "type": "human"},
                    },
                    {
                        "type": "ai",
                        "data": {"content": A["content"], "type": "ai", "tool_calls": []},
                    },
                ]
            }
        ],
        [],
    ),
    "langchain dumps": (
        [
            {
                "messages": [
                    {
                        "lc": 1,
                        "type": "constructor",
                        "id": [*LC, "HumanMessage"],
                        "kwargs": {"content": BOMB, "type": "human"},
                    },
                    {
                        "lc": 1,
                        "type": "constructor",
                        "id": [*LC, "AIMessage"],
                        "kwargs": {"content": A["content"], "type": "ai", "tool_calls": []},
                    },
                ]
            }
        ],
        ["--messages-format", "langchain"],
    ),
    "chatgpt": ([CHATGPT, {**CHATGPT, "title": "Another"}], []),
}


@pytest.fixture
def edgeguard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command, in this process, with nano, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGUARD_MODEL", "nano")
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    return CommandLine(capsys, monkeypatch)


def _jsonl(path: str, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path(path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("name", EXPORTS)
def test_every_row_of_a_public_export_has_its_verdict(
    edgeguard: CommandLine, name: str, kind: str
) -> None:
    rows, options = EXPORTS[name]
    for row in rows:
        for message in row.get("messages", []):
            for call in message.get("tool_calls") or []:
                call["function"] = {"name": "tell", "arguments": "{}"}
    if kind == "jsonl":
        _jsonl("in.jsonl", rows)
    else:
        Path("in.json").write_text(json.dumps(rows), encoding="utf-8")
    ended = edgeguard("batch", f"in.{kind}", "--out", f"out.{kind}", *options)
    assert ended.code == 0, ended.err
    text = Path(f"out.{kind}").read_text(encoding="utf-8")
    found = json.loads(text) if kind == "json" else list(map(json.loads, text.splitlines()))
    assert [{k: v for k, v in row.items() if k != "verdict"} for row in found] == rows
    for row in found:
        assert row["verdict"]["mode"] == "response"
        assert row["verdict"]["message"] > 0
    if name == "chatgpt":
        noted = found[0]["verdict"]["not_judged"]
        assert noted == ["message 3: its thinking", "message 4: a tool call"]


def test_an_export_in_parquet_is_read_by_its_columns(edgeguard: CommandLine) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [{**EXPORTS["wildchat"][0][0], "picture": b"\xff"}]
    pq.write_table(pa.Table.from_pylist(rows), "in.parquet")
    ended = edgeguard("batch", "in.parquet", "--out", "out.parquet")
    assert ended.code == 0, ended.err
    nested = [{"custom_id": "1", "body": {"messages": [U], "model": "m"}, "picture": b"\xff"}]
    pq.write_table(pa.Table.from_pylist(nested), "b.parquet")
    for options in ([], ["--messages-field", "body.messages"]):
        out = f"b{len(options)}.parquet"
        ended = edgeguard("batch", "b.parquet", "--out", out, *options)
        assert ended.code == 0, ended.err
        assert pq.read_table(out)["verdict"][0].as_py()["severity"] == "Unsafe"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"messages": [U]}], ["--messages-format", "sharegpt"], "no field 'conversations'"),
        ([{"conversations": [U]}], ["--messages-format", "sharegpt"], "message 1 has no text"),
        ([{"mapping": {}, "current_node": "a"}], [], "the tree of messages is broken"),
        ([{"messages": [U], "conversation": [U]}], [], "no field 'text'"),
        ([{"input": CITY, "output": "Paris"}], [], "it has: input, output"),
        ([{"text": BOMB}], ["--messages-format", "chatml"], "not ChatML"),
        ([{"body": {"messages": [U]}}], ["--messages-field", "body.talk"], "body.talk"),
    ],
)
def test_a_wrong_guess_is_never_a_verdict(
    edgeguard: CommandLine, rows: list[dict[str, Any]], options: list[str], said: str
) -> None:
    _jsonl("in.jsonl", rows)
    ended = edgeguard("batch", "in.jsonl", "--out", "out.jsonl", *options)
    assert ended.code == 2
    assert said in ended.err
    out = Path("out.jsonl")
    assert not out.exists() or json.loads(out.read_text())["verdict"] is None


def test_fields_by_path(edgeguard: CommandLine) -> None:
    _jsonl("in.jsonl", [{"a": {"b": BOMB}, "c": [{"d": "No."}]}, {"a.b": CITY, "c": []}])
    ended = edgeguard("batch", "in.jsonl", "--out", "out.jsonl", "--text-field", "a.b")
    assert ended.code == 0, ended.err
    found = [json.loads(line)["verdict"] for line in Path("out.jsonl").read_text().splitlines()]
    assert [verdict["severity"] for verdict in found] == ["Unsafe", "Safe"]
    argv = ["batch", "in.jsonl", "--out", "-", "--text-field", "a.b", "--response-field", "c.0.d"]
    ended = edgeguard(*argv)
    assert ended.code == 2
    assert "line 2: the field 'c.0.d' is missing" in ended.err
    assert json.loads(ended.out.splitlines()[0])["verdict"]["mode"] == "response"


def test_media_and_strictness_are_options(edgeguard: CommandLine) -> None:
    picture = {"role": "user", "content": [{"type": "text", "text": BOMB}, {"type": "image"}]}
    _jsonl("in.jsonl", [{"messages": [picture]}])
    ended = edgeguard("batch", "in.jsonl", "--out", "-")
    assert ended.code == 2
    assert "line 1: message 1 has an image" in ended.err
    ended = edgeguard("batch", "in.jsonl", "--out", "-", "--skip-media")
    assert json.loads(ended.out)["verdict"]["not_judged"] == ["message 1: an image"]
    ended = edgeguard("batch", "in.jsonl", "--out", "-", "--skip-media", "--strict-messages")
    assert ended.code == 2
    assert "the official template has no place for" in ended.err


def test_files_as_excel_and_pandas_write_them(edgeguard: CommandLine) -> None:
    pd = pytest.importorskip("pandas")
    Path("sep.csv").write_bytes(f"sep=;\r\ntext;n\r\n{BOMB};1\r\n".encode())
    Path("wide.csv").write_text(f"text;n\n{BOMB};1\n", encoding="utf-16")
    Path("tabs.csv").write_text(f"text\tn\n{BOMB}\t1\n", encoding="utf-16")
    pd.DataFrame({"text": [BOMB, "é"], "n": [1, None]}).to_json("rows.json", orient="records")
    for name in ("sep.csv", "wide.csv", "tabs.csv", "rows.json"):
        ended = edgeguard("batch", name, "--out", f"out-{name}")
        assert ended.code == 0, ended.err
    frame = pd.read_json("out-rows.json")
    assert [verdict["severity"] for verdict in frame["verdict"]] == ["Unsafe", "Safe"]
