"""The wheel that is built holds what it must, and no bare module named `convert`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*argv, "--no-build-isolation", "."], check=True, cwd=copy)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_everything_lies_under_edgeguard(names: set[str]) -> None:
    assert {Path(name).parts[0] for name in names if ".dist-info/" not in name} == {"edgeguard"}


@pytest.mark.parametrize(
    "name",
    [
        "edgeguard/py.typed",
        "edgeguard/verdict.schema.json",
        "edgeguard/convert/__init__.py",
        "edgeguard/evaluation/reported.json",
        "edgeguard/evaluation/templates/report.html",
        "edgeguard/nano/nano.gguf",
        "edgeguard/nano/README.md",
        "edgeguard/nano_stream/nano-stream.gguf",
        "edgeguard/nano_stream/README.md",
        "edgeguard/server/page.html",
        "edgeguard/session/llama.py",
    ],
)
def test_it_holds(names: set[str], name: str) -> None:
    assert name in names


def test_every_module_of_the_checkout_is_in_it(names: set[str]) -> None:
    folders = {"edgeguard": ROOT / "edgeguard", "edgeguard/convert": ROOT / "convert"}
    expected = {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for prefix, folder in folders.items()
        for path in folder.rglob("*.py")
    }
    assert expected <= names
    assert not [name for name in names if "training" in name or "tests/" in name]
