"""llama.cpp's quantizer behind a wall: its failures are errors, whatever form they take."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

from edgeguard.convert import convert, output, quantizer
from edgeguard.errors import ConversionError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("c") / "checkpoint")


@pytest.fixture(scope="module")
def lossless(checkpoint: Path) -> Path:
    return convert(
        checkpoint, checkpoint.parent / "bf16.gguf", type="bf16", trust_template=True
    ).path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3.4 MB: room for the bf16 scratch file of 2.7 MB, and not for the result too."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3400k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("filled", [0, 500_000, 1_500_000])
@pytest.mark.parametrize("kind", ["bf16", "q4_k_m", "q8_0"])
def test_a_disk_that_is_full(
    small_disk: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, kind: str, filled: int
) -> None:
    """Past the check of free space, as when another program takes it meanwhile."""
    monkeypatch.setattr(output, "check_space", lambda *_: None)
    (small_disk / "other").write_bytes(bytes(filled))
    try:
        convert(checkpoint, small_disk / "out", type=kind, trust_template=True)
        assert kind == "bf16" and filled < 1_000_000
    except ConversionError as error:
        assert f"the disk of {small_disk} is full; free some space" in str(error)
        assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_too_little_space_is_seen_before(
    small_disk: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizer, "quantize", None)
    with pytest.raises(
        ConversionError, match=r"has 3.5 MB free, and the conversion needs 3\.\d MB"
    ):
        convert(checkpoint, small_disk / "out", trust_template=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_writes_that_fail(lossless: Path) -> None:
    with pytest.raises(ConversionError, match=r"could not quantize to q4_0: .*; try --type bf16"):
        quantizer.quantize(lossless, Path("/dev/full"), "q4_0", lambda _count: None)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(1000), b"x" * 1000])
def test_a_source_that_is_no_gguf_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").write_bytes(content)
    (tmp_path / "out").touch()
    with pytest.raises(ConversionError, match="could not quantize to q4_0: ") as error:
        quantizer.quantize(tmp_path / "in", tmp_path / "out", "q4_0", lambda _count: None)
    assert "\n" not in str(error.value)


def test_a_result_that_was_cut_short_does_not_pass(tmp_path: Path, lossless: Path) -> None:
    """The quantizer writes with a stream that can lose its last bytes without an exception."""
    content = lossless.read_bytes()
    code = (
        "import llama_cpp, sys; from edgeguard.convert.quantizer import _loads\n"
        "print([_loads(llama_cpp, path.encode()) for path in sys.argv[1:]])"
    )
    paths = []
    for kept in (len(content), len(content) - 4096, 10_000, 0):
        paths.append(tmp_path / str(kept))
        paths[-1].write_bytes(content[:kept])
    command = [sys.executable, "-c", code, *map(os.fspath, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[True, False, False, False]"


def test_progress_counts_every_tensor_of_the_source(tmp_path: Path, lossless: Path) -> None:
    import gguf

    counts: list[int] = []
    (tmp_path / "out").touch()
    quantizer.quantize(lossless, tmp_path / "out", "q4_k_m", counts.append)
    assert sum(counts) == sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(lossless).tensors)
