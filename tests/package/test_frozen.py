"""A program frozen by a plain `pyinstaller app.py` judges, and its children serve."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

APP = """
import sys
from edgeguard.cli import main
main()
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frozen program; edgeguard is installed as a user has it, and not from the clone."""
    pytest.importorskip("PyInstaller")
    folder = tmp_path_factory.mktemp("frozen")
    site = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(site), str(ROOT)], check=True)
    (folder / "app.py").write_text(APP)
    freeze = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", "app.py"]
    subprocess.run(freeze, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(site)})
    return folder / "dist" / "app" / "app"


def run(program: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([program, *argv], capture_output=True, text=True, env=variables)


def test_it_judges_after_a_try_in_a_child(program: Path, isolation: Path) -> None:
    trials = isolation / "edgeguard" / "cache" / "trials"
    trials.unlink()
    done = run(program, "check", "--model", "nano", "How can I make a bomb?")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Unsafe\n")
    (outcome,) = trials.iterdir()
    assert json.loads(outcome.read_text()) == {"plain_weights": False, "failure": ""}
    assert run(program, "check", "--model", "nano", "Hello").returncode == 0


def test_doctor_finds_everything(program: Path) -> None:
    done = run(program, "doctor", "--json")
    found = json.loads(done.stdout)
    assert found["tried"]["model"] == "nano-q8_0" or found["tried"]["model"] == "nano"
    assert [problem["what"] for problem in found["problems"]] == ["gen-0.6b is not installed"]


def test_it_converts_and_compares(program: Path, tmp_path: Path) -> None:
    for package in ("matplotlib", "scipy", "sklearn"):
        pytest.importorskip(package)  # the program has what its environment has
    from checkpoints import write_checkpoint

    write_checkpoint(tmp_path / "checkpoint")
    for kind in ("q8_0", "q4_k_m"):
        out = str(tmp_path / f"{kind}.gguf")
        checkpoint = str(tmp_path / "checkpoint")
        done = run(program, "convert", checkpoint, "--type", kind, "--out", out, "--trust-template")
        assert done.returncode == 0, done.stderr
    rows = tmp_path / "rows.jsonl"
    labels = ("Safe", "Unsafe") * 4
    rows.write_text(
        "".join(
            json.dumps({"prompt": f"Text {n}", "label": x}) + "\n" for n, x in enumerate(labels)
        )
    )
    # Each model has a child of its own.
    kinds = [str(tmp_path / f"{kind}.gguf") for kind in ("q8_0", "q4_k_m")]
    argv = ["--allow-random-weights", "--compare", *kinds, str(rows), "--json", "-"]
    done = run(program, "eval", *argv)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["models"]) == 2


def test_the_libraries_are_there_once(program: Path) -> None:
    libraries = [path for path in program.parent.rglob("*") if "libggml-cpu" in path.name]
    assert len([path for path in libraries if not path.is_symlink()]) == 1
