"""scripts/freeze builds a program that speaks stdio without any Python around it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from stdio_client import Child

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The program, and what the script said."""
    pytest.importorskip("PyInstaller")
    folder = tmp_path_factory.mktemp("frozen")
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "freeze"), str(folder)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "edgeguard" / "edgeguard", done.stdout


def test_it_says_its_size_and_time(built: tuple[Path, str]) -> None:
    said = built[1]
    size = re.search(r"([\d.]+) MB in", said)
    assert size is not None and float(size[1]) < 150
    assert len(re.findall(r"from start to verdict, nano, \w+: [\d.]+ s", said)) == 2


def test_it_leaves_out_what_no_verdict_needs(built: tuple[Path, str]) -> None:
    names = {path.name for path in (built[0].parent / "_internal").iterdir()}
    assert not names & {"hf_xet", "matplotlib", "scipy", "pandas", "pyarrow", "tkinter", "PIL"}


def test_it_is_driven_through_stdio(built: tuple[Path, str]) -> None:
    with Child(program=(str(built[0]),)) as child:
        child.call("initialize")
        assert child.call("check", text="How can I make a bomb?")["flagged"]
        stream = child.call("watch", messages=[])["stream"]
        child.call("feed", stream=stream, piece="A calm sentence of some forty characters. " * 3)
        assert not child.call("end", stream=stream)["verdict"]["flagged"]
        child.call("unload")
        child.call("check", text="Hello")
        child.call("shutdown")
        assert child.wait() == 0


def test_its_licences_are_in_it(built: tuple[Path, str]) -> None:
    done = subprocess.run([built[0], "licenses"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for words in ("The ggml authors", "Andrei Betlen", "NumPy Developers", "Qwen3Guard-Gen"):
        assert words in done.stdout
