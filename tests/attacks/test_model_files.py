"""Damaged model files: an error or the verdict of the whole file, and never the end of the process.

Nothing here is tried in a child of ours first: what llama.cpp does not survive must be seen before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint
from conftest import ROOT

from edgeguard.convert import convert

SMALL: dict[str, Any] = {
    "hidden": 64,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "head_dim": 32,
    "ffn": 128,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_checkpoint(folder / "checkpoint", **SMALL, seed=3)
    return convert(
        folder / "checkpoint", folder / "whole.gguf", type="q8_0", trust_template=True
    ).path


def _tried(whole: Path, folder: Path, whose: str, parts: int = 2) -> list[dict[str, Any]]:
    """Every damaged file and what came of it; a process that dies fails the test by its name."""
    script = str(ROOT / "tests" / "mutants.py")
    children = []
    for part in range(parts):
        (folder / str(part)).mkdir()
        arguments = [str(whole), str(folder / str(part)), whose, str(part), str(parts)]
        children.append(
            subprocess.Popen(
                [sys.executable, script, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    found = []
    for child, (out, err) in [(child, child.communicate(timeout=600)) for child in children]:
        lines = [json.loads(line) for line in out.splitlines()]
        assert child.returncode == 0, (lines[-1], err[-2000:])
        found += [line for line in lines if len(line) > 1]
    return found


def _check(found: list[dict[str, Any]]) -> None:
    (sound,) = (one for one in found if one["name"] == "whole")
    assert "severity" in sound, sound
    for one in found:
        if "error" in one:
            assert one["error"] in ("ModelError", "SessionError"), one
            assert "\n" not in one["why"]
        else:
            assert one["severity"] == sound["severity"], one
            assert one["shares"] == pytest.approx(sound["shares"], abs=0.02), one


def test_damaged_files_of_ours(whole: Path, tmp_path: Path) -> None:
    """Some 430 of them: the digest in the file sees every byte."""
    found = _tried(whole, tmp_path, "ours")
    assert len(found) > 400
    _check(found)
    assert all("error" in one for one in found if not one["same"])


def test_damaged_headers_of_other_peoples_files(whole: Path, tmp_path: Path) -> None:
    """Some 330 of them, without a digest: what llama.cpp would not survive is seen before."""
    found = _tried(whole, tmp_path, "foreign")
    assert len(found) > 300
    _check(found)
    assert sum("error" in one for one in found) > 250


@pytest.mark.slow
def test_damaged_files_of_nano(nano_path: Path, tmp_path: Path) -> None:
    _check(_tried(nano_path, tmp_path, "foreign"))
