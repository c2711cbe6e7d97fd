"""What scripts/wheels puts together is a wheel for pip, and the same bytes each time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def wheels() -> Any:
    """The script as a module."""
    loader = SourceFileLoader("wheels_script", str(ROOT / "scripts" / "wheels"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """As it is after compiling: a source package, and the libraries; they hold nothing real."""
    source = tmp_path / "llama_cpp_python-9.9.9"
    for name in ("llama_cpp/__init__.py", "llama_cpp/py.typed", "vendor/llama.cpp/LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "LICENSE.md").write_text("MIT")
    (source / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 9.9.9\n\nVersion: no field\n"
    )
    libraries = tmp_path / "libraries" / "bin"
    libraries.mkdir(parents=True)
    for name in ("llama", "ggml-cpu-haswell", "ggml-cpu-ivybridge", "ggml-cpu-armv9.2_1"):
        shutil.copy(sys.executable, libraries / f"lib{name}.so")  # something that strip takes
    return tmp_path


needs_strip = pytest.mark.skipif(shutil.which("strip") is None, reason="needs binutils")


@needs_strip
def test_pip_installs_it_with_our_version_and_without_the_empty_back_ends(
    wheels: Any, work: Path
) -> None:
    arch = os.uname().machine
    made = wheels.put_together(work / "llama_cpp_python-9.9.9", work, arch)
    assert made.name == f"llama_cpp_python-9.9.9+variants-py3-none-linux_{arch}.whl"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*pip, str(work / "site"), str(made)], check=True)
    names = {path.name for path in (work / "site" / "llama_cpp" / "lib").iterdir()}
    assert names == {"libllama.so", "libggml-cpu-haswell.so"}
    metadata = next((work / "site").glob("*.dist-info/METADATA")).read_text()
    assert "\nVersion: 9.9.9+variants\n" in metadata
    assert "Version: no field" in metadata


@needs_strip
def test_the_same_files_make_the_same_bytes(wheels: Any, work: Path, tmp_path: Path) -> None:
    made = wheels.put_together(work / "llama_cpp_python-9.9.9", work, os.uname().machine)
    again = tmp_path / "again.whl"
    for path in (work / "wheel").rglob("*"):
        os.utime(path, (1, 10**9))
        path.chmod(0o755)
    wheels.pack(work / "wheel", again)
    assert again.read_bytes() == made.read_bytes()
    wheels.normalise(made, again)
    assert again.read_bytes() == made.read_bytes()


def test_the_version_is_the_newest_that_is_allowed(
    wheels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["wheels"])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    below = re.search(r'"llama-cpp-python.*<0\.3\.(\d+)"', project)
    assert below is not None
    assert wheels.arguments().version == f"0.3.{int(below[1]) - 1}"
