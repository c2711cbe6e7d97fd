"""Labelled rows: what is read, how it is sampled, and what every bad line is answered with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import mild_rows, row, write_rows

from edgeguard import InputError
from edgeguard.evaluation.rows import NO_LANGUAGE, digest_of, is_data, read_rows, sample

SECRET = "a text that must not be in a message"


def test_a_row_is_read_with_everything_that_is_said_of_it(tmp_path: Path) -> None:
    (found,) = read_rows([str(write_rows(tmp_path / "mine.jsonl", [row("1", SECRET, "Unsafe")]))])
    assert (found.set, found.id, found.label, found.lang) == ("mine", "1", "Unsafe", "en")
    assert found.categories == ("Violent",)
    assert found.refusal is None
    assert found.mode == "prompt"
    assert found.messages[0].content == SECRET


def test_what_may_be_left_out_is_made_up(tmp_path: Path) -> None:
    least = {"messages": [{"role": "user", "content": "x"}], "label": "Safe"}
    path = write_rows(tmp_path / "mine.jsonl", [least, least])
    first, second = read_rows([str(path)])
    assert (first.id, second.id) == ("mine:1", "mine:2")
    assert first.lang == NO_LANGUAGE
    assert first.categories == ()


def test_files_folders_and_gzip_are_read_alike(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", mild_rows())
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "a.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    (packed / "README.md").write_text("no data")
    assert read_rows([str(path)]) == read_rows([str(packed)])


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row("1", "x", "Safe")).encode() + b"\r\n\r\n \n")
    assert len(read_rows([str(path)])) == 1


def _with(**changes: Any) -> str:
    return json.dumps({**row("1", SECRET, "Safe"), **changes})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        (json.dumps({"label": "Safe"}), "'messages' is missing"),
        (_with(messages=SECRET), "'messages' is not a list"),
        (_with(messages=[]), "conversation is empty"),
        (_with(messages=[{"role": "user", "content": 3}]), "'content' is int"),
        (_with(messages=[{"role": "user", "content": "\ud83d"}]), "lone surrogate"),
        (_with(messages=[{"role": "tool", "content": SECRET}]), "has no place for"),
        (_with(label="safe"), "'label' is none of: Safe, Unsafe, Controversial, unknown"),
        (_with(label=["Safe"]), "'label' is none of"),
        (_with(label=None), "'label' is none of"),
        (_with()[:-1] + ', "label": "Unsafe"}', "an object in it has one name twice"),
        (_with(messages=[{"role": "user", "content": " \n"}]), "there is nothing to judge"),
        (json.dumps({"messages": [{"role": "user", "content": SECRET}]}), "'label' is missing"),
        (_with(categories=["violent"]), "a category is unknown; there are: Violent"),
        (_with(categories="Violent"), "'categories' is not a list"),
        (_with(categories=[["Violent"]]), "a category is unknown"),
        (_with(refusal=True), "'refusal' is none of: Yes, No"),
        (_with(id=[1]), "'id' is not a string"),
        (_with(id=True), "'id' is not a string"),
        (_with(source="\ud83d"), "'source' is not valid Unicode"),
        (_with(id="0"), "has the id '0' twice"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number_and_not_quoted(
    tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row("0", SECRET, "Safe")) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_rows([str(path)])
    assert f"{path}, line 3: " in str(caught.value)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(InputError, match="line 1: not UTF-8 at byte 9"):
        read_rows([str(path)])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.jsonl", None, "cannot read .*No such file"),
        ("a.csv", b"x", r"name .jsonl or .jsonl.gz files"),
        ("a.jsonl", b"\n\n", "no row in the data"),
        ("a.jsonl.gz", b"not gzip", "cannot read"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 1000, mtime=0)[:-9], "cannot read|line 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_rows([str(tmp_path / name)])


def test_gzip_that_was_cut_is_not_taken_for_a_whole_file(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row(f"{n}", f"{n}" * 50, "Safe")) + "\n" for n in range(2000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines.encode())[:-20])
    with pytest.raises(InputError, match=r"cannot read .* after line"):
        read_rows([str(path)])


def test_a_folder_without_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no .jsonl or .jsonl.gz file in"):
        read_rows([str(tmp_path)])
    assert is_data(str(tmp_path))
    assert not is_data("model.gguf")


@given(
    sizes=st.dictionaries(st.sampled_from("abc"), st.integers(1, 30), min_size=1),
    limit=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_a_sample_takes_so_many_of_each_set_in_order_and_by_the_seed(
    sizes: dict[str, int], limit: int, seed: int
) -> None:
    made = _rows(sizes)
    drawn = sample(made, limit, seed)
    for name, size in sizes.items():
        members = [one for one in made if one.set == name]
        chosen = [one for one in drawn if one.set == name]
        assert len(chosen) == min(limit, size)
        places = [members.index(one) for one in chosen]
        assert places == sorted(set(places))
    assert sample(made, limit, seed) == drawn
    assert sample(list(reversed(made)), limit, seed) != [] and digest_of(drawn) == digest_of(drawn)


def test_a_sample_of_a_set_does_not_depend_on_the_other_sets() -> None:
    alone = sample(_rows({"b": 30}), 5, 0)
    together = [one for one in sample(_rows({"a": 9, "b": 30, "c": 7}), 5, 0) if one.set == "b"]
    assert alone == together


def test_the_digest_changes_with_whatever_is_measured() -> None:
    first = _rows({"a": 3})
    assert digest_of(first) == digest_of(_rows({"a": 3}))
    assert digest_of(first) != digest_of(first[:2])
    assert digest_of(first) != digest_of(list(reversed(first)))


def _rows(sizes: dict[str, int]) -> list[Any]:
    from labelled import judged

    return [
        judged("Safe", "Safe", set_=name, number=number).row
        for name, size in sizes.items()
        for number in range(size)
    ]


def test_a_named_field_says_which_rows_belong_together(tmp_path: Path) -> None:
    made = [row(f"{n}", f"text {n}", "Safe", chat=n // 2) for n in range(4)]
    path = str(write_rows(tmp_path / "a.jsonl", made))
    assert [one.group for one in read_rows([path], "chat")] == ["0", "0", "1", "1"]
    assert [one.group for one in read_rows([path])] == [None] * 4
    assert digest_of(read_rows([path], "chat")) == digest_of(read_rows([path]))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, r"line 2: the field 'chat', which --group names, is missing; there are: id, .*label"),
        ({"chat": None}, "line 2: the field 'chat', which --group names, is empty"),
        ({"chat": "  "}, "line 2: the field 'chat', which --group names, is empty"),
        ({"chat": ["x"]}, "line 2: 'chat' is not a string"),
        ({"chat": True}, "line 2: 'chat' is not a string"),
    ],
)
def test_a_row_without_its_group_is_an_error(
    tmp_path: Path, value: dict[str, Any], said: str
) -> None:
    made = [row("a", "one", "Safe", chat="x"), row("b", "two", "Safe", **value)]
    path = write_rows(tmp_path / "a.jsonl", made)
    with pytest.raises(InputError, match=said):
        read_rows([str(path)], "chat")


def test_a_text_is_the_same_in_another_case_spacing_or_form(tmp_path: Path) -> None:
    texts = ["Caf\u00e9 au lait?", " cafe\u0301  AU\nlait? ", "Café au lait", "Café, au lait?"]
    made = [row(f"{n}", text, "Safe") for n, text in enumerate(texts)]
    first, second, *others = read_rows([str(write_rows(tmp_path / "a.jsonl", made))])
    assert first.text == second.text
    assert len({first.text, *(one.text for one in others)}) == 3
