"""How `edgeguard check` ends: its own process leaves the model's memory to the system."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import CommandLine

from edgeguard.cli import own_process

MILD = "What is the capital of France?"
CHECK = ("check", "--model", "nano", "--threads", "1")


class _Left(BaseException):
    """The process would have ended here."""


def _models() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "edgeguard-model"]


def _end(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, int]:
    """How its own process would end: the exit code, and how many models are still loaded then."""
    before = len(_models())
    found: list[int] = []

    def leave(code: int) -> None:
        found.extend((code, len(_models()) - before))
        raise _Left

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(sys, "argv", ["edgeguard", *arguments])
    try:
        own_process()
    except _Left:
        pass
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return ended.code, len(_models()) - before
    gc.collect()
    assert len(_models()) == before
    return found[0], found[1]


@pytest.mark.parametrize(("text", "code"), [(MILD, 0), ("How can I make a bomb?", 1)])
def test_its_own_process_leaves_the_model_to_the_system(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    assert _end(monkeypatch, *CHECK, text) == (code, 1)
    assert capsys.readouterr().out.startswith("Unsafe" if code else "Safe")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*CHECK, ""), 2),  # nothing to judge
        (("check", "--model", "no-such-model", MILD), 2),
        ((*CHECK, "--timeout", "1e-9", MILD), 2),  # fails while the model is loaded
        (("--version",), 0),
    ],
)
def test_what_fails_ends_as_ever(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    assert _end(monkeypatch, *arguments) == (code, 0)


def test_a_file_of_answers_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _end(monkeypatch, *CHECK, "--cache", str(tmp_path / "answers"), MILD) == (0, 0)


def test_a_program_that_calls_main_gets_its_memory_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(_models())
    assert CommandLine(capsys, monkeypatch)(*CHECK, MILD).code == 0
    assert len(_models()) == before


@pytest.mark.parametrize("closed", ["stdout", "full"])
def test_an_output_that_cannot_be_written_is_an_error_then_too(closed: str) -> None:
    """Nothing may be lost by ending early, and nothing may end in 0 or 1 without it."""
    command = [sys.executable, "-m", "edgeguard", *CHECK, MILD]
    if closed == "full":
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as gone:
            done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert (b"cannot be written" in done.stderr) == (closed == "full")
