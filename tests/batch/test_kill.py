"""`edgeguard batch` with nano in real processes, killed and interrupted, and with a full disk."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_processes import end_when, run, size_of

from edgeguard.batch.formats import FormatName

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

ROWS = 160
TEXTS = [f"How do I cook {number // 3} eggs,\nplease?" for number in range(ROWS)]
TEXTS[33] = TEXTS[60] = ""
COUNTS = "160 rows: 158 verdicts (104 for repeated texts), 2 errors"


def _made(folder: Path, kind: FormatName) -> tuple[Path, Path]:
    """An input, and what an undisturbed run makes of it."""
    path, plain = folder / f"in.{kind}", folder / f"plain.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": TEXTS, "id": range(ROWS)}), path, row_group_size=30)
    elif kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "id"), *zip(TEXTS, range(ROWS))])
    else:
        lines = [json.dumps({"text": text, "id": id_}) for id_, text in enumerate(TEXTS)]
        path.write_text("\n".join(lines), encoding="utf-8")
    code, out, err = run(str(path), "--out", str(plain))
    assert code == 2, err  # two rows have no text
    assert COUNTS in out
    return path, plain


@pytest.fixture(scope="module")
def jsonl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A JSONL file, and its result."""
    return _made(tmp_path_factory.mktemp("jsonl"), "jsonl")


@pytest.fixture(scope="module", params=["jsonl", "csv", "parquet"])
def files(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    jsonl: tuple[Path, Path],
) -> tuple[Path, Path]:
    """A file of each format, and its result."""
    if request.param == "jsonl":
        return jsonl
    return _made(tmp_path_factory.mktemp(request.param), request.param)


def test_killed_at_any_moment_until_it_is_done(files: tuple[Path, Path], tmp_path: Path) -> None:
    path, plain = files
    out = tmp_path / f"out{path.suffix}"
    partial = out.with_name(f"{out.name}.partial")
    kills = 3 if path.suffix == ".jsonl" else 1
    chance = random.Random(path.suffix)
    for _ in range(kills):
        due = size_of(partial) + chance.randrange(1, 9_000)
        resume = ["--resume"] if partial.exists() else []
        code, _, err = end_when(
            lambda: size_of(partial) > due,  # noqa: B023 - ends in here
            *(str(path), "--out", str(out), *resume),
        )
        assert code == -signal.SIGKILL, err
    code, said, err = run(str(path), "--out", str(out), "--resume")
    assert code == 2, err
    assert COUNTS in said
    assert out.read_bytes() == plain.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_how_to_go_on(
    jsonl: tuple[Path, Path], tmp_path: Path, number: signal.Signals
) -> None:
    path, plain = jsonl
    out = tmp_path / "out.jsonl"
    partial = tmp_path / "out.jsonl.partial"
    argv = [str(path), "--out", str(out)]
    code, said, err = end_when(lambda: size_of(partial) > 10_000, *argv, number=number)
    assert code == 130
    assert said == ""
    assert f"kept in {partial}; the same command with --resume goes on from there" in err
    assert "Traceback" not in err
    assert partial.read_bytes().endswith(b"}\n")
    code, _, err = run(*argv, "--resume")
    assert code == 2
    assert "going on after" in err
    assert out.read_bytes() == plain.read_bytes()


def test_a_full_disk_is_said_and_nothing_is_lost(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    path, plain = files
    out = tmp_path / f"out{path.suffix}"
    argv = [str(path), "--out", str(out)]
    code, said, err = run(*argv, FILE_SIZE_LIMIT="20000")
    assert (code, said) == (2, "")
    assert err.splitlines()[-1].startswith("edgeguard: error: ")
    assert str(out) in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not out.exists()
    code, _, err = run(*argv, "--resume")
    assert code == 2, err
    assert out.read_bytes() == plain.read_bytes()


def test_a_disk_that_is_full_when_parquet_is_put_together(tmp_path: Path) -> None:
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    noise = random.Random(7)
    blobs = [noise.randbytes(80_000) for _ in "ab"]
    pq.write_table(pa.table({"text": ["a", "b"], "x": blobs}), path)
    argv = [str(path), "--out", str(out)]
    code, said, err = run(*argv, FILE_SIZE_LIMIT="80000")
    assert (code, said) == (2, "")
    assert "the same command with --resume goes on from there" in err
    assert err.splitlines()[-1].startswith(f"edgeguard: error: cannot write {out}.partial-parquet")
    names = ["in.parquet", "out.parquet.job", "out.parquet.partial"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    code, said, err = run(*argv, "--resume")
    assert code == 0, err
    assert said.startswith("2 rows: 2 verdicts (0 for repeated texts), 0 errors\n")
    assert pq.read_table(out).drop(["verdict", "verdict_error"]).equals(pq.read_table(path))
