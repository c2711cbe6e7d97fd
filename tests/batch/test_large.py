"""100,000 rows with nano, killed three times: `pytest -m slow tests/batch`."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from batch_processes import end_when, run, size_of

ROWS, TEXTS = 100_000, 20_000
"""A log repeats itself: each text stands five times, far from the other four."""


def _write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            place = number * 7919 % TEXTS
            task = "make a bomb at" if place % 9 == 0 else "get to the museum from"
            text = f"How do I {task} station {place}?"
            file.write(json.dumps({"id": number, "text": text, "weight": 1.50}) + "\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_large_file_killed_three_times_equals_an_undisturbed_run(tmp_path: Path) -> None:
    source, plain, killed = (tmp_path / name for name in ("in.jsonl", "plain.jsonl", "out.jsonl"))
    _write(source, ROWS)
    started = time.monotonic()
    code, out, err = run(str(source), "--out", str(plain))
    seconds = time.monotonic() - started
    assert code == 0, err
    partial = killed.with_name("out.jsonl.partial")
    argv = [str(source), "--out", str(killed)]
    for share in (0.1, 0.4, 0.8):
        due = int(plain.stat().st_size * share)
        code, _, err = end_when(lambda: size_of(partial) >= due, *argv)  # noqa: B023 - ends in here
        assert code == -9, err
        assert not killed.exists()
        argv = [str(source), "--out", str(killed), "--resume"]
    code, resumed, err = run(*argv)
    assert code == 0, err
    assert filecmp.cmp(plain, killed, shallow=False)
    severities: Counter[str] = Counter()
    with source.open(encoding="utf-8") as rows, killed.open(encoding="utf-8") as results:
        for row, result in zip(rows, results, strict=True):
            assert result.startswith(row.rstrip()[:-1])
            severities[json.loads(result)["verdict"]["severity"]] += 1
    assert min(severities["Safe"], severities["Unsafe"]) > ROWS // 100
    assert out.splitlines()[0].rpartition(", ")[0] == resumed.splitlines()[0].rpartition(", ")[0]
    assert out.splitlines()[1:-1] == resumed.splitlines()[1:-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["in.jsonl", "plain.jsonl", "out.jsonl"]
    )
    print(out, f"{seconds:.0f} s undisturbed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    """Ten times the rows and ten times the different texts, the same peak."""
    peaks = [_peak(tmp_path, rows, kind) for rows in (20_000, 200_000)]
    print(f"peak MiB with 20,000 and 200,000 rows: {peaks}")
    assert peaks[1] < peaks[0] + 8


def _peak(folder: Path, rows: int, kind: str) -> float:
    """MiB at the peak of a run with the fake session: the model's own memory would hide growth."""
    source = folder / f"{rows}.{kind}"
    start, between, end = ("[", ",", "]") if kind == "json" else ("", "\n", "\n")
    with source.open("w", encoding="utf-8") as file:
        file.write(start)
        for number in range(rows):
            before = between if number else ""
            file.write(before + json.dumps({"text": f"the text number {number}"}))
        file.write(end)
    child = Path(__file__).parent.parent / "batch_in_child.py"
    argv = [sys.executable, str(child), "batch", str(source), "--out", str(folder / f"{rows}.out")]
    done = subprocess.run([*argv, "--format", kind], capture_output=True, text=True, check=True)
    return int(done.stderr.splitlines()[-1]) / 1024
