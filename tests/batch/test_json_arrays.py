"""JSON arrays: elements by their brackets, rows kept as bytes, resumed anywhere, read in pieces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from batch_runs import Watching, fake
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeguard import InputError
from edgeguard.batch.elements import Elements
from edgeguard.batch.formats import open_input
from edgeguard.batch.job import Run, opened, to_file
from edgeguard.batch.source import Seen
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.conversation.rows import Names

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


@settings(deadline=None)
@given(
    st.lists(values, max_size=5), st.integers(1, 9), st.sampled_from([None, 0, 2]), st.booleans()
)
def test_the_elements_are_those_of_json(
    found: list[Any], size: int, indent: int | None, ascii_: bool
) -> None:
    data = (" \n" + json.dumps(found, indent=indent, ensure_ascii=ascii_) + "\n").encode()
    elements = list(Elements(_pieces(data, size), 0, 1 << 20))
    assert not any(element.problem for element in elements)
    assert [json.loads(element.raw) for element in elements] == found
    for number, element in enumerate(elements):
        rest = Elements(_pieces(data[element.after :], size), element.after, 1 << 20)
        assert list(rest) == elements[number + 1 :]


@settings(deadline=None)
@given(st.binary(max_size=30), st.integers(1, 9))
@example(b"]a b", 2)  # a blank at the end of a chunk
def test_any_bytes_are_elements_or_an_error(data: bytes, size: int) -> None:
    try:
        elements = list(Elements(_pieces(b"[" + data, size), 0, 1 << 20))
    except InputError:
        return
    for number, element in enumerate(elements, 1):
        rest = (b"[" + data)[element.after :]
        assert list(Elements(_pieces(rest, size), element.after, 1 << 20)) == elements[number:]
    whole = b"".join(element.raw for element in elements)
    kept = whole.translate(None, b", \t\r\n[]")
    assert kept == data.translate(None, b", \t\r\n[]")


ROWS = [{"text": f"kettle {n}" if n % 3 else f"Hello, {n}]", "n": n} for n in range(12)]


def _judge(path: Path, out: Path, *, resume: bool = False, after: int | None = None) -> Tally:
    def end(rows: int) -> None:
        if rows == after:
            raise KeyboardInterrupt

    with open_input(str(path), "json", Names()) as form, opened(out, resume=resume) as record:
        form.content.measure(record.progressed.seen if resume else Seen())
        run = Run(form, fake()[0], Watching(end), Stop())
        return to_file(run, record, out, {})


@pytest.mark.parametrize("after", [1, 2, 5, 11, 12])
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(tmp_path: Path, after: int) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
    tally = _judge(path, tmp_path / "plain.json")
    assert (tally.rows, tally.errors, tally.flagged) == (12, 0, 8)
    out = tmp_path / "out.json"
    with pytest.raises(KeyboardInterrupt):
        _judge(path, out, after=after)
    assert _judge(path, out, resume=True).rows == 12
    assert out.read_bytes() == (tmp_path / "plain.json").read_bytes()
    found = json.loads(out.read_bytes())
    assert [{"text": row["text"], "n": row["n"]} for row in found] == ROWS


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ('[{"text": "a"}, 7, {"text": "b"}]', [2]),
        ('[{"text": "a"}, {"text": }, {"text": "b"}]', [2]),
        ('[{"text": "a"}, {"text": "b"}', [2]),
        ('[{"text": "a"}, {"text": "b', [2]),
        ('[{"text": "a"}] more', [2]),
        ('[{"text": "a"},, {"text": "b"}]', [2]),
        ('[{"text": "a"}, {"text": "a", "verdict": 1}]', [2]),
    ],
)
def test_what_is_no_row_is_a_row_with_its_reason(
    tmp_path: Path, text: str, errors: list[int]
) -> None:
    path, out = tmp_path / "in.json", tmp_path / "out.json"
    path.write_text(text, encoding="utf-8")
    tally = _judge(path, out)
    found = json.loads(out.read_bytes())
    assert tally.rows == len(found)
    assert [n for n, row in enumerate(found, 1) if row["verdict"] is None] == errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a JSON array"),
        ('{"text": "a"}\n{"text": "b"}\n', "--format jsonl"),
        ("[]", "has no rows"),
        ("[1, 2]", "an array of objects|not a JSON object"),
        ('[{"prompt": "a"}]', "no field 'text'; it has: prompt"),
    ],
)
def test_what_is_no_array_of_rows_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "in.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        _judge(path, tmp_path / "out.json")


def test_an_array_on_one_line_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is too long, though the line is: only one element is in memory."""
    monkeypatch.setattr("edgeguard.batch.json_array.MAX_LINE", 200_000)
    path, out = tmp_path / "in.json", tmp_path / "out.json"
    path.write_text(json.dumps([{"text": "Hello", "x": "y" * 50_000}] * 40), encoding="utf-8")
    assert _judge(path, out).rows == 40
    path.write_text(json.dumps([{"text": "Hello", "x": "y" * 300_000}]), encoding="utf-8")
    with pytest.raises(InputError, match="is longer than"):
        _judge(path, tmp_path / "other.json")


def test_a_mark_at_the_start_and_other_encodings(tmp_path: Path) -> None:
    text = json.dumps(ROWS[:2], ensure_ascii=False)
    for number, encoding in enumerate(("utf-8-sig", "utf-16")):
        path, out = tmp_path / f"{number}.json", tmp_path / f"out{number}.json"
        path.write_text(text, encoding=encoding)
        assert _judge(path, out).errors == 0
        assert len(json.loads(out.read_bytes())) == 2
