"""CSV and TSV as programs write it: what any of these writers wrote is read back, and kept."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard.batch.csv_ import Csv
from edgeguard.batch.encodings import check_encoding
from edgeguard.batch.formats import open_input
from edgeguard.batch.layout import Told, told
from edgeguard.batch.rows import START
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError

HEADER = ["id", "text", "a note"]
VERDICT = '{"severity": "Safe", "answer": "Safety: Safe\\nCategories: None", "name": "a|b;c"}'
Table = list[list[str]]

plain = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff")
marks = st.sampled_from([",", ";", "\t", "|", '"', "'", "\\", "\\N", "\n", " ", '""', '\\"', "NA"])
cells = st.lists(st.one_of(plain, marks), max_size=6).map("".join)


def tables(cell: st.SearchStrategy[str] = cells) -> st.SearchStrategy[Table]:
    """Rows of three cells; the first is a number, as ids are, so that no row looks empty."""
    texts = st.lists(st.tuples(cell, cell), min_size=1, max_size=6)
    return texts.map(lambda rows: [[str(i), *row] for i, row in enumerate(rows)])


def by_csv(**form: Any) -> Callable[[Table], str]:
    """Python's own writer, which pandas uses too."""

    def write(table: Table) -> str:
        file = io.StringIO()
        csv.writer(file, **form).writerows([HEADER, *table])
        return file.getvalue()

    return write


def by_escapes(delimiter: str, quote: str) -> Callable[[Table], str]:
    """MySQL's SELECT … INTO OUTFILE, and pandas with escapechar; the header is a row like any."""

    def cell(text: str) -> str:
        special = {quote, "\\"} if quote else {delimiter, "\\", "\n"}
        text = "".join(f"\\{mark}" if mark in special else mark for mark in text)
        return f"{quote}{text}{quote}"

    def write(table: Table) -> str:
        return "".join(delimiter.join(map(cell, row)) + "\n" for row in [HEADER, *table])

    return write


def by_r(table: Table) -> str:
    """R's write.csv: texts and names in quotes, numbers not, a name for the row's number."""
    lines = [",".join(f'"{name}"' for name in ["", *HEADER])]
    for number, (id_, *texts) in enumerate(table, 1):
        quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
        lines.append(",".join([f'"{number}"', id_, *quoted]))
    return "\n".join(lines) + "\n"


def read(
    folder: Path, content: bytes, name: str = "in.csv", said: Told | None = None, **more: Any
) -> tuple[list[dict[str, object] | None], bytes, Csv]:
    """The rows of a file, and the file written with a verdict for each."""
    path = folder / name
    path.write_bytes(content)
    with open_input(str(path), "csv", Names(**more.pop("names", {})), said, **more) as form:
        assert isinstance(form, Csv)
        form.content.measure(form.content.seen)
        rows = list(form.rows(START))
        middle = len(rows) // 2
        assert not rows or list(form.rows(rows[middle].after)) == rows[middle + 1 :]
        written = form.head
        for row in rows:
            bad = row.fields is None
            written += form.encode(row, None if bad else VERDICT, "why, then" if bad else "")
        form.content.check_read()
    return [dict(row.fields) if row.fields else None for row in rows], written, form


def check(folder: Path, content: str, table: Table, name: str = "in.csv", **more: Any) -> Csv:
    """The rows are the table's, and so are those of the result, with verdicts beside them."""
    rows, written, form = read(folder, content.encode(), name, **more)
    assert [row and [row[name] or "" for name in HEADER] for row in rows] == table
    again, _, _ = read(folder, written, f"again-{name}", names={"verdict": "second"}, **more)
    kept = [row and [row[name] or "" for name in HEADER] for row in again]
    assert kept == table
    assert {row["verdict"] for row in again if row} == {VERDICT.replace("|", form_bar(form))}
    return form


def form_bar(form: Csv) -> str:
    """How a bar inside of a verdict is written where bars separate and nothing quotes."""
    dialect = form.dialect
    return "\\u007c" if dialect == type(dialect)("|", "", "") else "|"


ENDS = ["\n", "\r\n"]
QUOTINGS = [csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]


@pytest.mark.parametrize("name", ["in.csv", "in.tsv"])
@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(QUOTINGS), st.sampled_from(ENDS), st.sampled_from(",;|"))
def test_what_the_csv_module_writes(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    table: Table,
    quoting: int,
    end: str,
    delimiter: str,
) -> None:
    delimiter = "\t" if name.endswith("tsv") else delimiter
    content = by_csv(delimiter=delimiter, quoting=quoting, lineterminator=end)(table)
    form = check(tmp_path_factory.getbasetemp(), content, table, name)
    # Some tables are the same in two dialects, and the plainest is taken.
    assert form.dialect.quote == '"' or form.notes


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(",\t;|"), st.booleans())
def test_quotes_escaped_by_a_backslash(
    tmp_path_factory: pytest.TempPathFactory, table: Table, delimiter: str, found: bool
) -> None:
    if found:  # by a row that no other reader takes
        table = [*table, ["99", 'he said \\"no\\" to 2" seams', "x"]]
    said = None if found else told(None, None, "\\")
    content = by_escapes(delimiter, '"')(table)
    check(tmp_path_factory.getbasetemp(), content, table, said=said)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_mysqls_own_form_is_read_when_it_is_named(
    tmp_path_factory: pytest.TempPathFactory, table: Table
) -> None:
    content = by_escapes("\t", "")(table)
    said = told("tab", "none", "\\")
    check(tmp_path_factory.getbasetemp(), content, table, "in.tsv", said=said)


@settings(max_examples=60, deadline=None)
@given(tables(st.lists(plain | st.sampled_from(list(",;|\"'\\")), max_size=6).map("".join)))
def test_tabs_without_any_quoting(tmp_path_factory: pytest.TempPathFactory, table: Table) -> None:
    content = "".join("\t".join(row) + "\n" for row in [HEADER, *table])
    folder = tmp_path_factory.getbasetemp()
    check(folder, content, table, "in.tsv", said=told(None, "none", None))
    rows, _, form = read(folder, content.encode(), "in.tsv")
    # Unnamed, no line is merged with another or lost; quotes around a whole cell may be quoting.
    assert len(rows) == len(table)
    texts = [[(row and row[name]) or "" for name in HEADER] for row in rows]
    stripped = [[_unquoted(cell) for cell in row] for row in table]
    assert texts in (table, stripped) or form.dialect.quote


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


@settings(max_examples=60, deadline=None)
@given(tables())
def test_what_r_writes(tmp_path_factory: pytest.TempPathFactory, table: Table) -> None:
    check(tmp_path_factory.getbasetemp(), by_r(table), table)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("sep", [False, True])
def test_what_excel_writes(tmp_path: Path, mark: str, encoding: str, sep: bool) -> None:
    table = [["1", "a, b; c\td", 'she said "ü"'], ["2", "line\nbreak", ""]]
    content = (f"sep={mark}\r\n" if sep else "") + by_csv(delimiter=mark)(table)
    rows, written, form = read(tmp_path, content.encode(encoding))
    assert [list(row.values()) for row in rows if row] == [
        [cell or None for cell in row] for row in table
    ]
    again, _, _ = read(tmp_path, written, names={"verdict": "second"})
    assert [row and row["verdict"] for row in again] == [VERDICT] * 2
    assert written.decode("utf-8-sig").startswith("sep=") is sep
    assert any("utf-16" in note for note in form.notes) is (encoding == "utf-16")
    assert any("semicolons" in note for note in form.notes) is (mark == ";")


@pytest.mark.parametrize(
    ("name", "content", "texts", "noted"),
    [
        # Tabs separate in a .tsv whatever the header shows.
        ("a.tsv", "text\nhello, world\nplain; text\n", ["hello, world", "plain; text"], ""),
        ("a.csv", "text\nhello, world\nplain text\n", ["hello, world", "plain text"], "separated"),
        ("a.csv", 'text,x\n"2\\" seam",ok\n"a \\", b",c\n', ['2" seam', 'a ", b'], r"\\ escapes"),
        ("a.csv", 'text,x\n"a, ""b""",c\n', ['a, "b"'], ""),
        (
            "a.tsv",
            'id\ttext\n1\t"hello he began\n2\tWhat is it?\n3\tand ended"\n4\tfine\n',
            ['"hello he began', "What is it?", 'and ended"', "fine"],
            "quotes are text",
        ),
        (
            "a.tsv",
            'id\ttext\n1\t"hello\n2\tWhat is it?\n3\tand ended"\nno row\n',
            ['"hello', "What is it?", 'and ended"', None],
            "quotes are text",
        ),
        # As CSV that is one row by CSV's own rule; it is said that it looks like three.
        ("a.csv", 'id,text\n1,"a\n2,b\n3,c"\n4,d\n', ["a\n2,b\n3,c", "d"], "line breaks"),
        ("a.csv", 'text\n"a\nb"\n', ["a\nb"], "line breaks"),
        ("a.csv", 'id,text\n1,"a\nb, and c, and d"\n', ["a\nb, and c, and d"], ""),
        ("a.csv", "id,text\r1,a\r2,b\r", ["a", "b"], "lines end in CR"),
        ("a.csv", "text|id\na|1\nb|2\n", ["a", "b"], "bars"),
        # A backslash is a backslash where nothing is escaped by it.
        ("a.tsv", 'text\tid\n"C:\\new\t1\n"D:\\"x\t2\n', ['"C:\\new', '"D:\\"x'], "quotes are"),
        ("a.csv", "text,id\nC:\\,1\n\\N,2\n", ["C:\\", "\\N"], ""),
        ("a.csv", 'text,id\n\\N,1\n"a \\" b",2\n', [None, 'a " b'], "escapes"),
    ],
)
def test_what_real_files_have(
    tmp_path: Path, name: str, content: str, texts: list[str | None], noted: str
) -> None:
    rows, written, form = read(tmp_path, content.encode(), name)
    assert [row and row["text"] for row in rows] == texts
    assert bool(form.notes) is bool(noted), form.notes
    assert not noted or any(noted.replace("\\\\", "\\") in note for note in form.notes)
    again, _, _ = read(tmp_path, written, name, names={"verdict": "second"})
    bad = [row is None for row in rows]
    assert [row and row["verdict"] for row in again] == [None if one else VERDICT for one in bad]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16-le", "utf-16", "shift_jis"])
def test_an_encoding_that_is_named(tmp_path: Path, encoding: str) -> None:
    text = "漢字" if encoding == "shift_jis" else "café – déjà vu"
    text = text.replace("–", "-") if encoding == "latin-1" else text
    content = f"id,text\r\n1,{text}\r\n" * 1
    rows, written, _ = read(tmp_path, content.encode(encoding), encoding=check_encoding(encoding))
    assert rows == [{"id": "1", "text": text}]
    assert written.decode().startswith(f"id,text,verdict,verdict_error\r\n1,{text},")


def test_a_byte_that_does_not_decode_is_a_bad_row(tmp_path: Path) -> None:
    content = b"id,text\n1,caf\xe9\n2,a\x81b\n3,ok\n"
    rows, written, _ = read(tmp_path, content, encoding="cp1252")
    assert [row and row["text"] for row in rows] == ["café", None, "ok"]
    assert b'2,a\\x81b,,"why, then"\n' in written
    wide = "id,text\n1,q\n2,ok\n".encode("utf-16-le").replace(b"q\0", b"\x00\xd8")
    rows, written, _ = read(tmp_path, wide, encoding="utf-16-le")
    assert [row and row["text"] for row in rows] == [None, "ok"]
    assert written.decode().count("\n") == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((",", "none", None), "--quote none needs another --delimiter"),
        (("ab", None, None), "--delimiter is one character"),
        (("none", None, None), "--delimiter is one character"),
        (("x", None, None), "--delimiter is one character"),
        ((None, "''", None), "--quote is one character, or none"),
        ((";", ";", None), "different characters"),
        ((None, "\\", "\\"), "different characters"),
    ],
)
def test_options_that_cannot_be(options: tuple[str | None, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        told(*options)


@pytest.mark.parametrize("name", ["utf-9", "hex", "", "rot13", "zip", "a\0b"])
def test_encodings_that_there_are_not(name: str) -> None:
    with pytest.raises(InputError, match="no encoding is named"):
        check_encoding(name)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"1", b",", b'"', b"\\", b"\n", b"\t", b"\r", b"\xff", b"a b", b"\0"]),
        max_size=24,
    ),
    st.sampled_from(["in.csv", "in.tsv"]),
)
def test_whatever_is_read_the_result_has_its_columns(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], name: str
) -> None:
    """Every row of the result has as many cells as its header, and a row for each of the input."""
    header = b"id,text\n" if name == "in.csv" else b"id\ttext\n"
    folder = tmp_path_factory.getbasetemp()
    with suppress(InputError):
        rows, written, form = read(folder, header + b"".join(parts), name)
        text = written.decode()  # what it could not decode is written so that others can
        fields = list(form.dialect.rows(_lines(text)))
        assert [len(one.cells) for one in fields] == [4] * (len(rows) + 1)
        assert not any(one.problem for one in fields)


def _lines(text: str) -> list[Any]:
    from edgeguard.batch.dialect import Line

    parts = text.encode().split(b"\n")
    return [Line(part + b"\n", START) for part in itertools.islice(parts, len(parts) - 1)]
