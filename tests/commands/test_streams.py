"""Whatever the standard streams are, nothing that fails ends in 0 or 1, or in a traceback."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

STREAMS = ("ok", "full", "closed", "reader gone")
ROWS = '{"text": "Hello"}\n{"text": "How can I make a bomb?"}\n'
COMMANDS = {
    "flagged": ["check", "--model", "nano", "--threads", "1", "How can I make a bomb?"],
    "batch": ["batch", "rows.jsonl", "--out", "-", "--model", "nano", "--threads", "1"],
    "list": ["list"],
    "help": ["check", "--help"],
    "usage": ["check", "--nonsense"],
    "error": ["check", "--model", "nowhere", "Hello"],
}
CODES = {"flagged": 1, "batch": 0, "list": 0, "help": 0, "usage": 2, "error": 2}


def run(command: list[str], out: str, err: str, stdin: str = "ok") -> tuple[int, bytes]:
    """The exit code, and what reached standard error."""
    shell = [sys.executable, "-m", "edgeguard", *command]
    ends = {"ok": "", "full": "{}>/dev/full", "closed": "{}>&-", "reader gone": "{}>&9"}
    redirections = [ends[out].format(1), ends[err].format(2), "<&-" if stdin == "closed" else ""]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            ["bash", "-c", '"$@" ' + " ".join(redirections), "bash", *shell],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            preexec_fn=lambda: os.dup2(writer, 9) and None,
            close_fds=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(ROWS)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_exit_code_tells_the_truth(name: str) -> None:
    for number, (out, err) in enumerate(itertools.product(STREAMS, STREAMS)):
        if err != "ok" and out != "ok" and (out, err) != ("full", "full"):
            continue  # the same code on the way
        code, said = run(COMMANDS[name], out, err, ("ok", "closed")[number % 2])
        silent = out == "ok" or name in ("usage", "error")  # nothing for standard output
        wanted = {CODES[name]} if silent else {2}
        if name == "list" and out != "ok":
            wanted = {0, 2}  # it may have nothing to say
        assert code in wanted, (out, err, code, said)
        assert b"Traceback" not in said and b"this is a bug" not in said


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "command",
    [
        ["check", "--model", "nano"],
        ["check", "--model", "nano", "-"],
        ["check", "--model", "nano", "--messages", "-"],
        ["batch", "-", "--out", "-", "--model", "nano"],
        ["rm", "gen-0.6b"],
    ],
    ids=" ".join,
)
def test_a_closed_standard_input_is_an_error(command: list[str]) -> None:
    code, said = run(command, "ok", "ok", stdin="closed")
    assert code == 2
    assert b"Traceback" not in said and b"this is a bug" not in said
    assert said.count(b"error: ") == 1
