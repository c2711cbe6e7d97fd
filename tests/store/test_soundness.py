"""A file named by its path is read once, believed while it stays as it is, and never if damaged."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_files import foreign

from edgeguard import Guard, ModelError
from edgeguard.loading import Options, load, prepare
from edgeguard.session.stop_flag import StopFlag
from edgeguard.store import checksum, file_sha256, paths, resolve
from edgeguard.store.soundness import identify

OPTIONS = Options(threads=1, n_ctx=1024, device="cpu", allow_random_weights=True)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new files count as old ones, whose sha256 is remembered."""
    monkeypatch.setattr(checksum, "_SETTLED_SECONDS", 0.0)


@pytest.fixture
def file(random_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "random.gguf"
    path.write_bytes(random_model.read_bytes())
    return path


def _never(*_arguments: object) -> str:
    pytest.fail("it was read again")


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_file_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    if whose == "theirs":
        file.write_bytes(foreign(file.read_bytes()))
    known = identify(resolve(str(file)))
    monkeypatch.setattr(checksum, "_inspect", _never)
    monkeypatch.setattr(checksum, "_hash", _never)
    assert identify(resolve(str(file))) == known == file_sha256(file)


def test_a_sha256_alone_is_no_proof(file: Path) -> None:
    """What `show` remembered of a damaged file lets no check believe it."""
    file.write_bytes(file.read_bytes()[:-9000] + bytes(9000))
    file_sha256(file)
    for _ in range(2):
        with pytest.raises(ModelError, match="not what its own digest says"):
            identify(resolve(str(file)))


def test_a_change_with_the_old_time_is_seen(file: Path) -> None:
    identify(resolve(str(file)))
    status, data = file.stat(), file.read_bytes()
    file.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ModelError, match="is damaged"):
        identify(resolve(str(file)))


@pytest.mark.parametrize("content", [b"0" * 64, b"sound-1", b"\xff" * 80])
def test_a_damaged_memory_is_no_proof(file: Path, content: bytes) -> None:
    known = identify(resolve(str(file)))
    for entry in paths.checksums_folder().iterdir():
        entry.write_bytes(content)
    assert identify(resolve(str(file))) == known


def test_holes_in_nano(nano_path: Path, tmp_path: Path) -> None:
    """As a half-fetched download has; most gave a quiet Safe for what nano flags."""
    data, chance = nano_path.read_bytes(), random.Random(5)
    path = tmp_path / "hole.gguf"
    for size in (1 << 18, 1 << 20, 1 << 21):
        place = chance.randrange(1 << 20, len(data) - size)
        hole = data[:place] + bytes(size) + data[place + size :]
        for content in (hole, foreign(hole)):
            path.write_bytes(content)
            with pytest.raises(ModelError, match=r"damaged.*edgeguard (pull|convert)"):
                Guard(path)


def test_nano_by_its_path_is_nano(nano_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(nano_path.read_bytes())
    assert identify(resolve(str(copy))) == identify(resolve("nano"))


def test_a_file_that_changes_while_it_is_loaded(file: Path) -> None:
    plan = prepare(resolve(str(file)), OPTIONS)
    assert plan.stamp is not None
    load(plan, StopFlag(), None).session.close()
    os.utime(file, (1000, 1000))
    with pytest.raises(ModelError, match="was changed while it was loaded"):
        load(plan, StopFlag(), None)
    load(replace(plan, stamp=None), StopFlag(), None).session.close()
