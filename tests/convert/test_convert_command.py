"""`edgeguard convert`: what it prints, where, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import write_checkpoint
from reference import TEMPLATE


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeguard", "convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("c") / "checkpoint", template=TEMPLATE)


def test_one_line_on_stdout_names_the_file(tmp_path: Path, checkpoint: Path) -> None:
    out = tmp_path / "out.gguf"
    done = run(checkpoint, "--type", "q8_0", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{out}: q8_0, 1.5 MB, sha256 ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{c}", "--out", "{c}"], "is a folder; name a file"),
        (["{c}", "--out", "{c}/config.json"], "exists already"),
        (["{c}", "--out", "{c}/nowhere/out"], "there is no folder"),
        (["{c}/nowhere", "--out", "{t}/out"], "there is no folder"),
        (["{t}", "--out", "{t}/out"], "has no config.json"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_code_2(
    tmp_path: Path, checkpoint: Path, arguments: list[str], said: str
) -> None:
    done = run(*(a.format(c=checkpoint, t=tmp_path) for a in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgeguard: error: ") and said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_code_2(checkpoint: Path) -> None:
    assert run(checkpoint).returncode == 2
    assert run(checkpoint, "--type", "q3", "--out", "x").returncode == 2


def test_help_loads_neither_numpy_nor_gguf_nor_llama_cpp() -> None:
    code = (
        "import sys; from edgeguard.commands.convert import command\n"
        "heavy = {'numpy', 'gguf', 'llama_cpp', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONWARNINGS": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
