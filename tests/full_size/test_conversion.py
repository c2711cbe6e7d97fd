"""A conversion of full size: its memory, and that every tensor is the reference's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import reference
from conftest import ROOT

from edgeguard.convert import convert


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("kind", ["bf16", "q8_0"])
def test_memory_stays_small(stand_in: Path, tmp_path: Path, kind: str) -> None:
    """At most 400 MB, without the pages of mapped files; the reference takes 1.2 to 1.5 GB."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks" / "convert.py")
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = bench  # dataclasses look their module up
    spec.loader.exec_module(bench)
    out = tmp_path / "out.gguf"
    arguments = ["convert", str(stand_in), "--type", kind, "--out", str(out)]
    run = bench.measure([sys.executable, "-m", "edgeguard", *arguments], out)
    assert run.own_mb < 400


@pytest.mark.reference
def test_every_tensor_is_the_references(stand_in: Path, tmp_path: Path) -> None:
    if reference.command() is None:
        pytest.skip("needs llama.cpp's converter: set REFERENCE_CONVERTER and REFERENCE_PYTHON")
    theirs = reference.describe(reference.run(stand_in, tmp_path / "theirs", "bf16"))["tensors"]
    ours = reference.describe(
        convert(stand_in, tmp_path / "ours", type="bf16", trust_template=True).path
    )["tensors"]
    assert theirs.pop("output.weight") == theirs["token_embd.weight"]
    assert list(ours.items()) == list(theirs.items())
