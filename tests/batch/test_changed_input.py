"""An input that changes while it is read: no result is made of two files, and nothing is lost."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_runs import Watching, fake

from edgeguard.batch.formats import FormatName, open_input
from edgeguard.batch.job import Files, Run, opened, to_file, to_stream
from edgeguard.batch.source import Seen, Source
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.conversation.rows import Names
from edgeguard.errors import EdgeguardError, InputError, OutputError

ROWS = 16
FILL = "x" * 20_000
"""So that the rows are not all read at once."""
Change = Callable[[Path], None]


def write(path: Path, order: list[int]) -> Path:
    """Rows in some order."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    texts = [f"row {number}" for number in order]
    if kind == "parquet":
        table = pa.table({"id": order, "text": texts, "more": [FILL + text for text in texts]})
        pq.write_table(table, path, row_group_size=3, compression="none")
        return path
    if kind == "csv":
        lines = ["id,text,more", *(f"{n},{text},{FILL}" for n, text in zip(order, texts))]
    elif kind == "txt":
        lines = [f"{text} {FILL[:2000]}" for text in texts]
    else:
        lines = [json.dumps({"id": n, "text": t, "more": FILL}) for n, t in zip(order, texts)]
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def judge(
    path: Path,
    out: Path | None,
    change: Change = lambda _: None,
    *,
    at: int = 3,
    resume: bool = False,
) -> Tally:
    """Run over a file that is changed after some rows; ``check_still`` as the command does."""
    kind: FormatName = path.name.removesuffix(".gz").rpartition(".")[2]  # type: ignore[assignment]
    watch = Watching(lambda rows: change(path) if rows == at else None)
    with open_input(str(path), kind, Names()) as form:
        run = Run(form, fake()[0], watch, Stop())
        if out is None:
            form.content.measure(Seen())
            with path.with_name("stream").open("wb") as stream:
                tally = to_stream(run, stream)
        else:
            with opened(out, resume=resume) as record:
                identity = {"the input": form.content.measure(record.progressed.seen)}
                tally = to_file(run, record, out, identity)
        form.content.check_still()
    return tally


def in_place(path: Path) -> None:
    """The rows in another order, written over the file as `cat other > file` does."""
    other = write(path.with_name(f"other-{path.name}"), list(reversed(range(ROWS))))
    with path.open("rb+") as file:
        file.write(other.read_bytes())
        file.truncate()


def cut(path: Path) -> None:
    """Log rotation by copytruncate, at the end of a line."""
    content = path.read_bytes()
    end = content.find(b"\n", len(content) * 3 // 4)  # Parquet has no lines
    os.truncate(path, end + 1 if end > 0 else len(content) // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def unread_half(path: Path) -> None:
    """Only what is still to be read is changed, to other rows of the same size."""
    content = path.read_bytes()
    half = len(content) // 2
    with path.open("rb+") as file:
        file.seek(half)
        file.write(content[half:].replace(b"x", b"y"))


def replaced(path: Path) -> None:
    other = write(path.with_name(f"other-{path.name}"), list(reversed(range(ROWS))))
    other.replace(path)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(path.read_bytes()[-30_000:])


def removed(path: Path) -> None:
    path.unlink()


def read_half(path: Path) -> None:
    """Only what has been read already is changed."""
    with path.open("rb+") as file:
        file.seek(60)
        file.write(b"zz")


LINES = ["in.jsonl", "in.csv", "in.txt"]


@pytest.mark.parametrize("name", [*LINES, "in.parquet"])
@pytest.mark.parametrize("change", [in_place, emptied, unread_half, cut])
def test_no_result_is_made_of_two_files(tmp_path: Path, name: str, change: Change) -> None:
    path = write(tmp_path / name, list(range(ROWS)))
    before = path.read_bytes()
    out = tmp_path / f"out-{name}"
    with pytest.raises(EdgeguardError, match=r"was changed while|cannot read") as caught:
        judge(path, out, change)
    assert caught.value.exit_code == 2
    assert not out.exists()
    assert Files(out).partial.exists()  # what was judged is kept
    with pytest.raises(InputError, match=r"was changed while|cannot read"):
        write(path, list(range(ROWS)))
        judge(path, None, change)
    # Gone on with, the changed file is refused.
    with pytest.raises((InputError, OutputError)):
        judge(path, out, resume=True)
    assert not out.exists()
    # With the right file back there is its result, or none.
    path.write_bytes(before)
    plain = tmp_path / f"plain-{name}"
    judge(path, plain)
    with suppress(InputError):
        judge(path, out, resume=True)
        assert out.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        *((name, grown, "has grown") for name in LINES),
        *((name, read_half, "is not what it was") for name in LINES),
        *((name, replaced, "is not what it was") for name in [*LINES, "in.jsonl.gz"]),
        *((name, removed, "is not what it was") for name in [*LINES, "in.jsonl.gz"]),
        *(("in.parquet", change, "is not what|changed|cannot") for change in (replaced, removed)),
    ],
)
def test_a_result_of_what_there_was_says_that_it_is_not_of_what_there_is(
    tmp_path: Path, name: str, change: Change, said: str
) -> None:
    path = write(tmp_path / name, list(range(ROWS)))
    plain, out = tmp_path / f"plain-{name}", tmp_path / f"out-{name}"
    judge(path, plain)
    with pytest.raises(InputError, match=said):
        judge(path, out, change)
    if out.exists():
        assert out.read_bytes() == plain.read_bytes()
    else:
        assert name == "in.parquet"


def test_a_file_that_is_only_touched_or_linked_is_no_other_file(tmp_path: Path) -> None:
    for name in ("in.jsonl", "in.parquet"):
        path = write(tmp_path / name, list(range(ROWS)))

        def touch(path: Path) -> None:
            os.utime(path, (1, 1))
            path.with_name(f"link-{path.name}").hardlink_to(path)

        assert judge(path, tmp_path / f"out-{name}", touch).rows == ROWS


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("change", [in_place, unread_half])
def test_a_run_that_is_resumed_reads_the_file_it_began_with(
    tmp_path: Path, name: str, change: Change
) -> None:
    """Changed before the kill, and put back after it: the rows so far are of no file there is."""
    path, out = write(tmp_path / name, list(range(ROWS))), tmp_path / f"out-{name}"
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        judge_and_die(path, out, change)
    path.write_bytes(before)
    with pytest.raises(InputError, match="is not the file whose first rows were read"):
        judge(path, out, resume=True)
    assert not out.exists()


def judge_and_die(path: Path, out: Path, change: Change) -> None:
    def both(rows: int) -> None:
        if rows == 3:
            change(path)
        if rows == ROWS - 2:
            raise KeyboardInterrupt

    kind: FormatName = path.name.removesuffix(".gz").rpartition(".")[2]  # type: ignore[assignment]
    with open_input(str(path), kind, Names()) as form, opened(out, resume=False) as record:
        identity = {"the input": form.content.measure(record.progressed.seen)}
        to_file(Run(form, fake()[0], Watching(both), Stop()), record, out, identity)


def test_parquet_verdicts_are_held_against_their_rows(tmp_path: Path) -> None:
    """Even where size and times are what they were."""
    path, out = write(tmp_path / "in.parquet", list(range(ROWS))), tmp_path / "out.parquet"
    with open_input(str(path), "parquet", Names()) as form, opened(out, resume=False) as record:
        watch = Watching(lambda rows: in_place(path) if rows == 3 else None)
        run = Run(form, fake()[0], watch, Stop())
        with pytest.raises(InputError, match=r"was changed while|cannot read"):
            to_file(run, record, out, {})  # never measured
    assert not out.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "in.parquet",
        "other-in.parquet",
        "out.parquet.job",
        "out.parquet.partial",
    ]


def test_rows_are_read_as_far_as_the_file_went(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"a\nb\nc")
    with Source(str(path)) as source:
        source.measure(Seen())
        with path.open("ab") as file:
            file.write(b"c\nd\n")
        assert list(source.lines()) == [b"a\n", b"b\n", b"c"]
        source.check_read()
        with pytest.raises(InputError, match="has grown"):
            source.check_still()
