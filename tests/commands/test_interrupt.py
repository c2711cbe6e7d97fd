"""Ctrl-C while a long text is judged: the command ends at once, with 130, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals")

LONG = "a good day to walk by the river " * 12_000  # minutes of nano, on one thread
PROMPTLY = 6.0
"""Seconds until a command has ended; a tenth of one where nobody else computes."""
NANO = ["--model", "nano", "--threads", "1"]


def interrupted(
    argv: list[str], after: float, stdin: bytes = b"", grown: Path | None = None
) -> tuple[int, float, str]:
    """The exit code, the seconds from the signal to the end, and what was said.

    The signal comes so many seconds after the start, or after a file has grown.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeguard", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    process.stdin = None
    deadline = time.monotonic() + 60
    while grown and not (grown.exists() and grown.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(after)
    assert process.poll() is None, process.stderr
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, time.monotonic() - started, (out + err).decode()


def test_check_ends_at_once() -> None:
    code, seconds, said = interrupted(["check", *NANO, "-"], 3.0, LONG.encode())
    assert code == 130, said
    assert seconds < PROMPTLY
    assert said.endswith("edgeguard: interrupted\n")
    assert "Traceback" not in said and "ignored" not in said


def test_batch_ends_at_once_and_goes_on_with_that_row(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("Hello", LONG)))
    argv = ["batch", str(rows), "--out", str(out), *NANO]
    grown = out.with_name(f"{out.name}.partial")
    code, seconds, said = interrupted(argv, 0.5, grown=grown)
    assert code == 130, said
    assert seconds < PROMPTLY
    assert "ended after 1 row, which" in said and "--resume" in said
    assert "Traceback" not in said
    # With a time limit the long row is an error of its own, and the run can be finished.
    command = [sys.executable, "-m", "edgeguard", *argv, "--resume", "--timeout", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    judged = [json.loads(line) for line in out.read_text().splitlines()]
    assert judged[0]["verdict"]["severity"] == "Safe"
    assert judged[1]["verdict"] is None
    assert "not judged in the time" in judged[1]["verdict_error"]


def test_a_text_that_takes_too_long_is_an_error() -> None:
    command = [sys.executable, "-m", "edgeguard", "check", *NANO, "--timeout", "0.3", "-"]
    done = subprocess.run(command, input=LONG.encode(), capture_output=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"not judged in the time" in done.stderr
