"""Computed starts on disk: found again, checked, bounded, and never in the way."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeguard import Guard, Verdict
from edgeguard.session import starts as module
from edgeguard.session.starts import StartFiles
from edgeguard.store.paths import starts_folder


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_start_is_found_by_all_that_it_depends_on(tmp_path: Path) -> None:
    files = StartFiles(tmp_path, {"model": "a", "threads": 2})
    files.add([1, 2, 3], lambda path: path.write_bytes(b"state") > 0)
    again = StartFiles(tmp_path, {"threads": 2, "model": "a"})
    found = again.find([1, 2, 3])
    assert found is not None and found.read_bytes() == b"state"
    assert again.find([1, 2]) is None
    assert StartFiles(tmp_path, {"model": "b", "threads": 2}).find([1, 2, 3]) is None
    assert StartFiles(tmp_path, {"model": "a", "threads": 1}).find([1, 2, 3]) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_removed(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = StartFiles(tmp_path, {})
    files.add([1], lambda path: path.write_bytes(b"state" * 100) > 0)
    (path,) = _files(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[250] ^= 1
    else:
        del data[0 if damage == "empty" else 100 :]
    path.write_bytes(data)
    assert files.find([1]) is None
    assert _files(tmp_path) == []
    assert "damaged" in caplog.text


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    files = StartFiles(tmp_path / "folder", {})
    files.add([1], lambda _path: False)

    def full(_path: Path) -> bool:
        raise OSError(28, "No space left on device")

    files.add([1], full)
    assert _files(tmp_path / "folder") == []
    assert files.find([1]) is None


def test_a_folder_that_is_a_file_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way", encoding="utf-8")
    files = StartFiles(tmp_path / "folder", {})
    files.add([1], lambda path: path.write_bytes(b"state") > 0)
    assert files.find([1]) is None


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 250)
    files = StartFiles(tmp_path, {})
    for number in range(2):
        files.add([number], lambda path: path.write_bytes(os.urandom(100)) > 0)
        for path in tmp_path.iterdir():
            os.utime(path, (1000 + number, 1000 + number))
    assert files.find([0]) is not None  # used last
    files.add([2], lambda path: path.write_bytes(os.urandom(100)) > 0)
    assert [files.find([number]) is not None for number in range(3)] == [True, False, True]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / "x.new"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (1000, 1000))
    StartFiles(tmp_path, {}).add([1], lambda path: path.write_bytes(b"state") > 0)
    assert [path.suffix for path in _files(tmp_path)] == [".state"]


# With a model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EDGEGUARD_HOME", str(tmp_path))
    yield starts_folder()


def _both(path: Path, threads: int = 1) -> list[tuple[object, ...]]:
    with Guard(path, threads=threads) as guard:
        verdicts = [guard.check("Hello there"), guard.check_response("Hello there", "Hi")]
    return [_essence(verdict) for verdict in verdicts]


def _essence(verdict: Verdict) -> tuple[object, ...]:
    return verdict.answer, tuple(verdict.probabilities.values()), verdict.tokens


def test_a_second_process_does_not_compute_the_start(
    nano_path: Path, home: Path, computed: list[int]
) -> None:
    first = _both(nano_path)
    assert max(computed) > 190
    computed.clear()
    assert _both(nano_path) == first  # the same bits
    assert max(computed) < 150
    assert len(_files(home)) == 2


def test_a_damaged_start_is_made_again(nano_path: Path, home: Path, computed: list[int]) -> None:
    first = _both(nano_path)
    for path in _files(home):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) > 190
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) < 150


def test_a_start_that_llama_cpp_refuses_is_made_again(
    nano_path: Path, home: Path, computed: list[int]
) -> None:
    first = _both(nano_path)
    for path in _files(home):  # the right sha256 of the wrong content
        key = path.name.partition("-")[0]
        path.unlink()
        wrong = home / "wrong"
        wrong.write_bytes(b"no state at all" * 50)
        wrong.rename(home / f"{key}-{module.sha256_of(wrong)}.state")
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) > 190
    assert all(path.stat().st_size > 10_000 for path in _files(home))


def test_other_threads_ask_for_other_files(nano_path: Path, home: Path) -> None:
    _both(nano_path, threads=1)
    _both(nano_path, threads=2)
    assert len(_files(home)) == 4


def test_a_full_disk_costs_time_and_nothing_else(nano_path: Path, home: Path) -> None:
    code = (
        "from edgeguard import Guard\n"
        f"print(Guard({str(nano_path)!r}, threads=1).check('Hi').answer)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Safety: ")
    assert [path for path in home.glob("*") if path.suffix == ".state"] == []


def test_processes_killed_while_they_write_leave_a_folder_that_works(
    nano_path: Path, home: Path
) -> None:
    code = f"from edgeguard import Guard\nGuard({str(nano_path)!r}, threads=1).check('Hi')"
    whole = subprocess.run([sys.executable, "-c", code], check=True)
    assert whole.returncode == 0
    for path in _files(home):
        path.unlink()
    for delay in (0.2, 0.3, 0.35, 0.4, 0.45, 0.5):
        child = subprocess.Popen([sys.executable, "-c", code])
        try:
            child.wait(delay)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    first = _both(nano_path)
    assert _both(nano_path) == first
