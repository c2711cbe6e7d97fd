"""A run and its record: cut off at any byte it goes on to the same bytes, and mixes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_runs import Watching, fake
from failing import FailingSession
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import ClosedError, Guard
from edgeguard.batch import job
from edgeguard.batch.formats import FormatName, open_input
from edgeguard.batch.job import Files, Run, opened, to_file, to_stream
from edgeguard.batch.record import Progressed, Record
from edgeguard.batch.rows import Place
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError, OutputError, SessionError

TEXTS = ["a kettle", "tea", None, "a kettle", "milk\nand sugar", "tea", "", "a cup", "tea", "ü"]
IDENTITY: dict[str, object] = {"the input": "0" * 64, "--n-ctx": 8192}


def write_input(folder: Path, kind: FormatName) -> Path:
    path = folder / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), path, row_group_size=4)
    elif kind == "csv":
        cells = ['"' + (text or "") + '"' for text in TEXTS]
        path.write_text("id,text\n" + "".join(f"{i},{c}\n" for i, c in enumerate(cells)))
    else:
        lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(TEXTS)]
        path.write_text("\n".join(lines))
    return path


def run(
    path: Path,
    out: Path,
    guard: Guard | None = None,
    *,
    resume: bool = False,
    identity: dict[str, object] = IDENTITY,
    watch: Watching | None = None,
) -> Tally:
    kind: Any = path.suffix[1:]
    with open_input(str(path), kind, Names()) as form, opened(out, resume=resume) as record:
        form.content.measure(record.progressed.seen)
        return to_file(
            Run(form, guard or fake()[0], watch or Watching(), Stop()),
            record,
            out,
            identity,
        )


@contextmanager
def saving(seconds: float) -> Iterator[None]:
    before, job._SAVE_SECONDS = job._SAVE_SECONDS, seconds
    try:
        yield
    finally:
        job._SAVE_SECONDS = before


KINDS: tuple[FormatName, ...] = ("jsonl", "csv", "parquet")


def test_a_row_on_which_the_model_fails_is_one_row_and_a_broken_model_ends_the_run(
    tmp_path: Path,
) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(f'{{"text": "{text}"}}\n' for text in ("a", "heavy", "b", "c")))
    session = FailingSession()

    def breaks(rows: int) -> None:
        session.broken = rows == 3

    with pytest.raises(SessionError):
        run(path, out, Guard.with_session(session), watch=Watching(breaks))
    assert not out.exists()
    tally = run(path, out, Guard.with_session(FailingSession()), resume=True)
    assert (tally.rows, tally.errors) == (4, 1)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["verdict"] is None for row in written] == [False, True, False, False]
    assert written[1]["verdict_error"] == "line 2: llama.cpp could not compute"


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_texts_are_judged_once_and_bad_rows_do_not_stop(
    tmp_path: Path, kind: FormatName
) -> None:
    guard, session = fake()
    watch = Watching()
    tally = run(write_input(tmp_path, kind), tmp_path / f"out.{kind}", guard, watch=watch)
    assert len(session.reads) == 5
    assert (tally.rows, tally.errors, tally.repeated, tally.flagged) == (10, 2, 3, 2)
    assert tally.severities == {"Unsafe": 2, "Safe": 6}
    assert tally.categories == {"Violent": 2}
    assert [outcome.row.number for outcome in watch.outcomes if outcome.error] == (
        {"jsonl": [3, 7], "csv": [4, 9], "parquet": [3, 7]}[kind]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in.{kind}", f"out.{kind}"]
    assert watch.kept_rows == []


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    at=st.integers(1, len(TEXTS)),
    seconds=st.sampled_from([0.0, 1e9]),
    cut=st.floats(0, 1),
    log_cut=st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.1, 0.0]),
    garbage=st.binary(max_size=300),
)
def test_cut_off_anywhere_it_goes_on_to_the_same_bytes(
    kind: FormatName, at: int, seconds: float, cut: float, log_cut: float, garbage: bytes
) -> None:
    """The files as they are after a row, with their unsaved ends cut or garbled."""
    with tempfile.TemporaryDirectory() as name, saving(seconds):
        folder = Path(name)
        path, plain, out = write_input(folder, kind), folder / "plain", folder / "out"
        left = folder / "left"
        left.mkdir()

        def leave(rows: int) -> None:
            if rows == at:
                for file in folder.glob("plain.*"):
                    shutil.copy(file, left / file.name.replace("plain", "out"))

        whole = run(path, plain, watch=Watching(leave))
        for file in left.iterdir():
            shutil.copy(file, folder)
        _damage(Files(out), cut, log_cut, garbage)
        guard, session = fake()
        tally = run(path, out, guard, resume=True)
        assert tally == whole
        assert out.read_bytes() == plain.read_bytes()
        if log_cut == 1.0:  # a kill, not a power cut: no verdict is made twice
            done = {text for text in TEXTS[:at] if text}
            assert len(session.reads) == len({text for text in TEXTS if text} - done)
        assert not Files(out).partial.exists()
        assert not Files(out).job.exists()


def _damage(files: Files, cut: float, log_cut: float, garbage: bytes) -> None:
    """What a power cut may do: lose the end of SQLite's log, and write the rest in any order."""
    log = files.job.with_name(f"{files.job.name}-wal")
    with log.open("rb+") as file:
        file.truncate(int(log.stat().st_size * log_cut))
    copy = files.job.with_name("copy")
    for file_name in (files.job, log):
        shutil.copy(file_name, copy.with_name(file_name.name.replace(files.job.name, "copy")))
    with Record(copy) as record:
        saved = record.progressed.written
    for rest in copy.parent.glob("copy*"):
        rest.unlink()
    content = files.partial.read_bytes()
    keep = saved + int((len(content) - saved) * cut)
    files.partial.write_bytes(content[:keep] + garbage)


def test_a_kill_between_the_rename_and_the_end_is_finished_by_resume(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    whole = run(path, out)
    with Record(Files(out).job) as record:
        record.begin(IDENTITY)
        made = hashlib.sha256(out.read_bytes()).hexdigest()
        record.save(Progressed(Place(9, 9), written=9, tally=whole, complete=True, made=made))
    kept = out.read_bytes()
    out.write_text("mine")  # not what was about to get the name
    with pytest.raises(OutputError, match="exists: remove it"):
        run(path, out, resume=True)
    assert out.read_text() == "mine"
    out.write_bytes(kept)
    assert run(path, out, resume=True) == whole
    assert not Files(out).job.exists()
    assert out.exists()


def test_a_kill_before_the_rename_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        path, out = write_input(tmp_path, kind), tmp_path / f"out.{kind}"
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(job, "publish", _die)
            run(path, out)
        assert not out.exists()
        guard, session = fake()
        assert run(path, out, guard, resume=True).rows == len(TEXTS)
        assert session.reads == []
        assert out.exists()


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def _interrupt(path: Path, out: Path, identity: dict[str, object] = IDENTITY) -> Watching:
    def stop(rows: int) -> None:
        if rows == 4:
            raise KeyboardInterrupt

    watch = Watching(stop)
    with pytest.raises(KeyboardInterrupt):
        run(path, out, identity=identity, watch=watch)
    return watch


def test_what_is_done_is_kept_when_the_model_dies(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    guard, _ = fake()
    watch = Watching(lambda rows: guard.close() if rows == 2 else None)
    with pytest.raises(ClosedError):
        run(path, out, guard, watch=watch)
    assert watch.kept_rows == [4]  # the third row is a bad one, the fourth repeats the first
    assert len(Files(out).partial.read_bytes().splitlines()) == 4
    again, session = fake()
    assert run(path, out, again, resume=True).rows == len(TEXTS)
    assert len(session.reads) == 3


def test_another_run_is_never_mixed_in(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    assert _interrupt(path, out).kept_rows == [4]
    for changed, said in (
        ({"the input": "1" * 64}, "the input was 000000000000… and is 111111111111…"),
        ({"--n-ctx": 4096}, "--n-ctx was 8192 and is 4096"),
        ({"the policy": "loose"}, "the policy was None and is loose"),
    ):
        with pytest.raises(OutputError, match="cannot be gone on with") as caught:
            run(path, out, resume=True, identity={**IDENTITY, **changed})
        assert said in str(caught.value)
        assert str(Files(out).job) in str(caught.value)
    with pytest.raises(OutputError, match="wrote 4 rows: type the same command with --resume"):
        run(path, out)
    assert run(path, out, resume=True).rows == len(TEXTS)


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    out.write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match="exists: remove it"):
            run(path, out, resume=resume)
    out.unlink()
    Files(out).partial.write_text("mine")
    with pytest.raises(OutputError, match=r"is there without out\.jsonl\.job"):
        run(path, out)
    assert Files(out).partial.read_text() == "mine"
    Files(out).partial.unlink()
    _interrupt(path, out)
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists: remove it"):
        run(path, out, resume=True)
    assert out.read_text() == "mine"


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"

    def second(rows: int) -> None:
        if rows == 3:
            for resume in (False, True):
                with pytest.raises(OutputError, match="another edgeguard batch is writing"):
                    run(path, out, resume=resume)

    assert run(path, out, watch=Watching(second)).rows == len(TEXTS)


def test_a_record_or_a_partial_that_is_damaged_is_said(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    _interrupt(path, out)
    partial, record = Files(out).partial, Files(out).job
    content, kept = partial.read_bytes(), record.read_bytes()
    partial.write_bytes(content[:-1])
    with pytest.raises(OutputError, match="remove it to start again"):
        run(path, out, resume=True)
    partial.unlink()
    with pytest.raises(OutputError, match="remove it to start again"):
        run(path, out, resume=True)
    partial.write_bytes(content)
    for wrong in (b"not a database" * 100, kept[:3000], b"SQLite format 3\x00" + bytes(5000)):
        record.write_bytes(wrong)
        with pytest.raises(OutputError, match="is damaged"):
            run(path, out, resume=True)
        assert partial.read_bytes() == content
    record.write_bytes(kept)
    assert run(path, out, resume=True).rows == len(TEXTS)


def test_the_record_holds_no_text(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    _interrupt(path, out)
    database = sqlite3.connect(Files(out).job)
    assert database.execute("SELECT count(*) FROM verdicts").fetchone() == (2,)
    dump = "\n".join(database.iterdump())
    database.close()
    assert "kettle" not in dump
    assert b"kettle" not in Files(out).job.read_bytes()


def test_a_run_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(ClosedError), opened(out, resume=False):
        raise ClosedError("the model could not be loaded")
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_an_error_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id,text\n")
    with pytest.raises(InputError, match="no rows"):
        run(path, tmp_path / "out.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["in.csv"]


def test_a_stream_gets_each_row_at_once(tmp_path: Path) -> None:
    path, out = write_input(tmp_path, "jsonl"), tmp_path / "out.jsonl"
    stream_path = tmp_path / "stream"
    with stream_path.open("wb") as stream, open_input(str(path), "jsonl", Names()) as form:
        written = Watching(lambda rows: _check(len(stream_path.read_bytes().splitlines()) == rows))
        tally = to_stream(Run(form, fake()[0], written, Stop()), stream)
    assert tally == run(path, out)
    assert stream_path.read_bytes() == out.read_bytes()


def _check(condition: bool) -> None:
    assert condition


def test_a_signal_waits_for_the_row_and_no_longer() -> None:
    stop = Stop()
    seen = []
    with pytest.raises(KeyboardInterrupt):
        for item in stop.between([1, 2, 3]):
            seen.append(item)
            if item == 2:
                stop._ask(15, None)
    assert seen == [1, 2]
    with pytest.raises(KeyboardInterrupt):
        Stop()._ask(2, None)  # nothing is being judged
    for _ in Stop().between([]):
        raise AssertionError
    busy = Stop()
    for _ in busy.between([1]):
        busy._ask(2, None)
        with pytest.raises(KeyboardInterrupt):
            busy._ask(2, None)  # the second time
        break
