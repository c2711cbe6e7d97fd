"""Reading and writing rows: what is in a row comes back, in every format, and from every place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard.batch.formats import format_of, open_input
from edgeguard.batch.parquet_result import added
from edgeguard.batch.rows import START, Row
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError, MissingExtraError
from edgeguard.protocol.names import CATEGORIES

VERDICT = '{"severity": "Safe", "flagged": false}'
FULL = json.dumps(
    {
        "mode": "prompt",
        "severity": "Safe",
        "probabilities": {"Safe": 0.5, "Unsafe": 0.25, "Controversial": 0.25},
        "categories": [],
        "refusal": None,
        "policy": "strict",
        "flagged": False,
        "answer": "",
        "model": {"name": "n", "type": "t", "sha256": ""},
        "device": "cpu",
        "tokens": 1,
        "windows": 1,
        "reason": "",
        "observed": False,
        "form": "as written",
        "category_probabilities": dict.fromkeys(CATEGORIES, 0.125),
        "message": 0,
        "not_judged": [],
    }
)
NAMES = Names()

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(texts.filter(lambda name: not name.startswith("verdict")), values)


def rows_of(content: bytes, format_name: Any, **names: Any) -> tuple[list[Row], bytes]:
    """The rows of a file with this content, and the file written with a verdict for each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in"
        path.write_bytes(content)
        with open_input(str(path), format_name, Names(**names)) as form:
            rows = list(form.rows(START))
            written = form.head
            for row in rows:
                good = row.fields is not None
                written += form.encode(row, VERDICT if good else None, "" if good else "why")
            for row in rows:  # from every place, the rest is the same
                rest = list(form.rows(row.after))
                assert rest == rows[rows.index(row) + 1 :]
    return rows, written


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(objects, texts, st.sampled_from(["", " ", "\t"])), min_size=1, max_size=5)
)
def test_jsonl_rows_keep_every_byte(cases: list[tuple[dict[str, object], str, str]]) -> None:
    lines = [
        json.dumps({**fields, "text": text}, ensure_ascii=bool(space)) + space
        for fields, text, space in cases
    ]
    rows, written = rows_of("\r\n".join(lines).encode(), "jsonl")
    assert [dict(row.fields or {})["text"] for row in rows] == [text for _, text, _ in cases]
    # Not splitlines(): it knows more line ends than JSON Lines does.
    results = written.decode().removesuffix("\n").split("\n")
    for line, result in zip(lines, results, strict=True):
        assert result == line.strip()[:-1] + f', "verdict": {VERDICT}}}'
        assert json.loads(result) == {**json.loads(line), "verdict": json.loads(VERDICT)}


@pytest.mark.parametrize(
    "row",
    [
        '{"text":"a","n":1.50}',
        '{"text":"a","n":123456789012345678901234567890}',
        '{"text":"a","n":1E400, "m":-0.0}',
        f'{{"text":"a","n":{"7" * 5000}}}',
        '{"text": "a" , "n" : NaN }',
        '{"text":"\\u00e9\\ud83d"}',
        '{"text":"a\u2028b\u0085c"}',
    ],
)
def test_jsonl_numbers_and_escapes_stay_as_they_were_written(row: str) -> None:
    _, written = rows_of(row.encode("utf-8") + b"\n", "jsonl")
    assert written.decode() == f'{row.rstrip("}").rstrip()}, "verdict": {VERDICT}}}\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"text": "a"} {"text": "b"}', "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "\xff"}', "not UTF-8: byte 10 is 0xff"),
        (b'{"text": "a\x00b"}', "not JSON: Invalid control character"),
        (b'{"text": "a", "text": "b"}', "an object in it has one name twice"),
        (b'{"text": "a", "x": {"y": 1, "y": 2}}', "an object in it has one name twice"),
        (b'{"text": "a", "verdict": 1}', "'verdict' is there already"),
        (b'{"text": "a", "verdict_error": 1}', "'verdict_error' is there already"),
    ],
)
def test_a_jsonl_line_that_is_no_row(line: bytes, problem: str) -> None:
    rows, written = rows_of(b'{"text": "a"}\n\n' + line + b'\n{"text": "b"}', "jsonl")
    assert [row.number for row in rows] == [1, 3, 4]
    assert problem in rows[1].problem
    assert rows[1].fields is None
    assert json.loads(written.split(b"\n")[1]) == {
        "verdict": None,
        "verdict_error": "why",
        "verdict_row": line.decode("utf-8", "backslashreplace"),  # nothing of it is lost
    }


def test_a_byte_order_mark_and_gzip_are_read() -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\n{"text": "b"}\n'
    rows, written = rows_of(content, "jsonl")
    assert [row.fields for row in rows] == [{"text": "a"}, {"text": "b"}]
    assert written.startswith(b'{"text"')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl.gz"
        path.write_bytes(gzip.compress(content))
        with open_input(str(path), "jsonl", NAMES) as form:
            assert list(form.rows(START)) == rows
            assert list(form.rows(rows[0].after)) == rows[1:]
        path.write_bytes(gzip.compress(content * 1000)[:-20])
        with (
            pytest.raises(InputError, match=r"cannot read .*gz"),
            open_input(str(path), "jsonl", NAMES) as form,
        ):
            list(form.rows(START))


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("json_row", "source"):
        monkeypatch.setattr(f"edgeguard.batch.{module}.MAX_LINE", 1 << 20)
    long = b'{"text": "' + b"a" * (3 << 20) + b'"}'
    rows, _ = rows_of(b'{"text": "a"}\n' + long + b'\n{"text": "b"}\n', "jsonl")
    assert [(row.number, row.problem) for row in rows] == [
        (1, ""),
        (2, "longer than 1 MiB: the file is not made of lines"),
        (3, ""),
    ]
    assert rows[1].after.offset == len(b'{"text": "a"}\n') + len(long) + 1


# Python's own writer leaves a lone \r bare, so that no reader can tell it from a line's end.
cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12).map(
    lambda cell: cell.replace("\r", "\r\n")
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.booleans(),
)
def test_csv_rows_keep_every_byte(
    table: list[tuple[str, str, str]], separator: str, end: str, quoting: Any, mark: bool
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([("id", "text", "a note"), *table])
    content = ("\ufeff" if mark else "") + file.getvalue()
    rows, written = rows_of(content.encode(), "csv")
    assert all(row.fields is not None for row in rows)
    assert [tuple(v or "" for v in dict(row.fields or {}).values()) for row in rows] == table
    assert written.decode().startswith(content.split(end)[0])
    read = list(
        csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""), delimiter=separator)
    )
    assert read[0] == ["id", "text", "a note", "verdict", "verdict_error"]
    assert read[1:] == [[*cells, VERDICT, ""] for cells in table]
    plain = written.decode().replace(VERDICT.replace('"', '""'), "")
    assert plain.count(end) == content.count(end)


@pytest.mark.parametrize(
    ("line", "problem", "kept"),
    [
        (b"1", "it has 1 cells and the header 3", ["1", "", ""]),
        (b"1,2,3,4", "it has 4 cells and the header 3", ["1", "2", "3,4"]),
        (b'1,"2,2",3,4', "it has 4 cells and the header 3", ["1", "2,2", "3,4"]),
        (b"1,caf\xe9,3", "not UTF-8: byte 5 is 0xe9; .* --encoding cp1252", ["1", "caf\\xe9", "3"]),
        (b'1,"a"b,3', "not CSV", ["1", '"a"b', "3"]),
        (b'1,"never closed,3', "not CSV: unexpected end of data", ["1", '"never closed', "3"]),
        (b"1,a\rb,3", "not CSV: new-line character", ["1", "a\rb", "3"]),
    ],
)
def test_a_csv_line_that_is_no_row_keeps_what_is_in_it(
    line: bytes, problem: str, kept: list[str]
) -> None:
    content = b"id,text,note\n1,a,b\n\n" + line + b"\n5,c,d\n6,e,f"
    rows, written = rows_of(content, "csv")
    assert [row.number for row in rows] == [2, 4, 5, 6]
    assert re.search(problem, rows[1].problem)
    read = list(csv.reader(io.StringIO(written.decode(), newline=""), strict=True))
    assert read[2] == [*kept, "", "why"]
    assert [cells[0] for cells in read[1:]] == ["1", "1", "5", "6"]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeguard.batch.dialect.MAX_CELL", 1000)
    lines = b"".join(b"%d,text\n" % number for number in range(200))
    rows, _ = rows_of(b'id,text\n7,"open\n' + lines, "csv")
    assert [bool(row.problem) for row in rows] == [True, *[False] * 200]
    assert "field larger than field limit" in rows[0].problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"\n\n", "has no rows"),
        (b"id,prompt\n1,a\n", "has no field 'text'; it has: id, prompt; .* --text-field"),
        ("id,text\n1,é\n".encode("utf-16-le"), "try --encoding utf-16-le"),
        ("id,textüü\n".encode("latin-1"), "byte 7 is 0xfc; .* --encoding cp1252"),
        (gzip.compress(b"id,text\n1,a\n", mtime=0), "gzip; give its name the ending .gz"),
        (b"id,text,text\n", "two columns named 'text'"),
        (b"\n\nid,prompt\n", "it has: id, prompt;"),
        (b"id,text,verdict\n", "'verdict' is there already; .* --verdict-field"),
        (b'id,"text\n1,a\n', "has no field 'text'"),
    ],
)
def test_a_csv_header_that_will_not_do(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows_of(content, "csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b'{"prompt": "a"}\n', "has no field 'text'; it has: prompt; .* --text-field"),
        (b'{"text": "a", "verdict": {}}\n', "line 1: the field 'verdict' is there already"),
        (b"id,text\n1,a\n", "line 1: not JSON"),
    ],
)
def test_a_jsonl_file_that_will_not_do(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows_of(content, "jsonl")


def test_parquet_keeps_columns_types_and_metadata(tmp_path: Path) -> None:
    count = 2500
    table = pa.table(
        {
            "id": pa.array(range(count), pa.uint8() if count < 256 else pa.int16()),
            "text": pa.array([None if i == 7 else f"text {i}" for i in range(count)]),
            "tags": pa.array([[1, None]] * count, pa.list_(pa.int32())),
            "bytes": pa.array([b"\x00\xff"] * count),
            "kind": pa.array(["a"] * count).dictionary_encode(),
        }
    ).replace_schema_metadata({"made by": "us"})
    path, partial = tmp_path / "in.parquet", tmp_path / "partial"
    pq.write_table(table, path, row_group_size=700, compression="zstd")
    with open_input(str(path), "parquet", NAMES) as form:
        rows = list(form.rows(START))
        assert list(form.rows(rows[1400].after)) == rows[1401:]
        with partial.open("wb") as file:
            for row in rows:
                bad = row.fields is None or row.fields["text"] is None
                file.write(form.encode(row, None if bad else FULL, "why" if bad else ""))
        result = pq.ParquetFile(form.result(partial))
    assert [row.number for row in rows] == list(range(1, count + 1))
    groups = [result.metadata.row_group(number).num_rows for number in range(4)]
    assert groups == [700, 700, 700, 400]
    assert result.metadata.row_group(0).column(0).compression == "ZSTD"
    written = result.read()
    assert written.select(table.column_names).equals(table, check_metadata=False)
    assert written.schema.metadata[b"made by"] == b"us"
    assert written["verdict"][7].as_py() is None
    assert written["verdict"][8].as_py() == json.loads(FULL)
    assert written["verdict_error"].to_pylist()[6:9] == [None, "why", None]


def test_a_parquet_text_that_is_not_utf_8_is_a_bad_row(tmp_path: Path) -> None:
    path, partial = tmp_path / "in.parquet", tmp_path / "partial"
    texts = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"text": texts}), path)
    with open_input(str(path), "parquet", NAMES) as form:
        rows = list(form.rows(START))
        partial.write_bytes(b"".join(form.encode(row, None, "why") for row in rows))
        result = pq.read_table(form.result(partial))
    assert [row.problem for row in rows] == ["", "not UTF-8", ""]
    assert result["text"].cast(pa.binary()).to_pylist() == [b"a", b"\xff", b"c"]


def test_a_file_without_a_header_is_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        rows_of(b'1,"Is this a private text, or what is it?"\n2,b\n', "csv")
    assert "it has: 1, …; name" in str(caught.value)


def test_the_parquet_struct_has_every_published_field_of_a_verdict() -> None:
    """Those of verdict.schema.json, at every depth, but those that differ from run to run."""
    schema = json.loads((files("edgeguard") / "verdict.schema.json").read_text(encoding="utf-8"))
    published = set(schema["properties"]) - {"seconds", "cached"}
    verdict = added(pa, NAMES)[0].type
    assert {field.name for field in verdict} == published
    model = verdict.field("model").type
    assert {field.name for field in model} == set(schema["properties"]["model"]["properties"])


def test_a_parquet_file_that_will_not_do(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"prompt": ["a"], "verdict": ["b"]}), path)
    for names, said in ((NAMES, "has no field 'text'"), (Names(text="prompt"), "already")):
        with pytest.raises(InputError, match=said), open_input(str(path), "parquet", names):
            pass
    content = path.read_bytes()
    pq.write_table(pa.table({"text": [1]}), path)
    with pytest.raises(InputError, match="'text' is int64, not text"):
        rows_of(path.read_bytes(), "parquet")
    two = pa.table([["a"], ["b"]], names=["text", "text"])
    pq.write_table(two, path)
    with pytest.raises(InputError, match="two columns named 'text'"):
        rows_of(path.read_bytes(), "parquet")
    for wrong in (b"", b"PAR1", content[:-10], content[:20] + b"\xff" * 8 + content[28:-200]):
        path.write_bytes(wrong)
        with (
            pytest.raises(InputError, match="cannot read"),
            open_input(str(path), "parquet", NAMES),
        ):
            pass


def test_without_pyarrow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(MissingExtraError, match=r"a Parquet file needs pyarrow, .*\[parquet\]"),
        open_input(__file__, "parquet", NAMES),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "out", "told", "chosen"),
    [
        ("a.jsonl", "b.jsonl", None, "jsonl"),
        ("a.ndjson", "-", None, "jsonl"),
        ("a.JSONL.gz".lower(), "b.jsonl", None, "jsonl"),
        ("a.CSV", "b.csv", None, "csv"),
        ("a.tsv", "b.csv", None, "csv"),
        ("-", "b.csv", None, "csv"),
        ("-", "-", None, "jsonl"),
        ("-", "-", "csv", "csv"),
        ("a.log", "b.log", "jsonl", "jsonl"),
        ("a.parquet", "b.pq", None, "parquet"),
        ("a.txt", "b.jsonl", None, "txt"),
        ("a.log", "b.jsonl", "txt", "txt"),
        ("-", "-", "txt", "txt"),
    ],
)
def test_the_format_of_a_run(name: str, out: str, told: Any, chosen: str) -> None:
    assert format_of(name, out, told) == chosen


@pytest.mark.parametrize(
    ("name", "out", "told", "said"),
    [
        ("a.log", "b.log", None, "say which with --format"),
        ("a.txt", "b.txt", None, "no place for a verdict, so the result is jsonl"),
        ("a.txt", "b", None, "must end in .jsonl"),
        ("a.csv", "b.jsonl", None, "the format of the input, which is csv"),
        ("a.csv", "b", None, "must end in .csv"),
        ("a.jsonl", "b.jsonl.gz", None, "leave out the .gz"),
        ("a.parquet", "-", None, "give files, not -"),
        ("-", "-", "parquet", "give files, not -"),
    ],
)
def test_a_format_that_cannot_be(name: str, out: str, told: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        format_of(name, out, told)
