"""A remembered checksum is never a wrong one."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from edgeguard.errors import StoreError
from edgeguard.store import checksum, paths
from edgeguard.store.checksum import compute_sha256, file_sha256


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new files count as old ones."""
    monkeypatch.setattr(checksum, "_SETTLED_SECONDS", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("settled")
def test_the_second_time_the_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_sha256(file) == _digest(file)
    monkeypatch.setattr(checksum, "_hash", lambda _path: pytest.fail("it was read again"))
    assert file_sha256(file) == _digest(file)


@pytest.mark.usefixtures("settled")
def test_a_change_of_the_same_size_and_time_is_seen(file: Path) -> None:
    file_sha256(file)
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"CONTENT" * 1000)
    os.utime(file, ns=times)
    assert file_sha256(file) == _digest(file)


def test_a_file_that_just_changed_is_not_remembered(file: Path) -> None:
    file_sha256(file)
    assert not paths.checksums_folder().exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [b"", b"zz", b"\xff\x00", b"A" * 64, b"0" * 63])
def test_a_damaged_memory_is_ignored(file: Path, damage: bytes) -> None:
    file_sha256(file)
    (entry,) = paths.checksums_folder().iterdir()
    entry.write_bytes(damage)
    assert file_sha256(file) == _digest(file)


@pytest.mark.usefixtures("settled")
def test_a_folder_that_cannot_be_written_costs_only_time(file: Path, isolation: Path) -> None:
    (isolation / "edgeguard").write_bytes(b"a file where the folder should be")
    assert file_sha256(file) == _digest(file)
    assert file_sha256(file) == _digest(file)


@pytest.mark.usefixtures("settled")
def test_many_at_once_agree_and_leave_one_entry(file: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(file_sha256(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [_digest(file)] * 8
    assert len(list(paths.checksums_folder().iterdir())) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for function in (file_sha256, compute_sha256):
        with pytest.raises(StoreError, match="no-such-file cannot be read"):
            function(tmp_path / "no-such-file")


def test_progress_ends_with_the_size(file: Path) -> None:
    calls: list[tuple[int, int]] = []
    compute_sha256(file, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (7000, 7000)
