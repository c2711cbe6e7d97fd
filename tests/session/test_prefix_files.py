"""Computed starts on disk: found again, checked, bounded, and never in the way."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeguard import Guard, Verdict
from edgeguard.errors import SessionError
from edgeguard.session import prefix_files as module
from edgeguard.session.llama import LlamaSession
from edgeguard.session.prefix_cache import PrefixCache
from edgeguard.session.prefix_files import PrefixFiles
from edgeguard.store.paths import prefix_folder


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_start_is_found_by_all_that_it_depends_on(tmp_path: Path) -> None:
    PrefixFiles(tmp_path, {"model": "a", "threads": 2}).add([1, 2, 3], b"state")
    again = PrefixFiles(tmp_path, {"threads": 2, "model": "a"})
    assert again.find([1, 2, 3]) == bytearray(b"state")
    assert again.find([1, 2]) is None
    assert PrefixFiles(tmp_path, {"model": "b", "threads": 2}).find([1, 2, 3]) is None
    assert PrefixFiles(tmp_path, {"model": "a", "threads": 1}).find([1, 2, 3]) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "longer"])
def test_a_damaged_file_is_removed(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = PrefixFiles(tmp_path, {})
    files.add([1], b"state" * 100)
    (path,) = _files(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[250] ^= 1
    elif damage == "longer":
        data += b"x"
    else:
        del data[0 if damage == "empty" else 100 :]
    path.write_bytes(data)
    assert files.find([1]) is None
    assert _files(tmp_path) == []
    assert "damaged" in caplog.text


@pytest.mark.parametrize("lost", [1, 100, 4096])
def test_what_the_disk_lost_unnoticed_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """The digest is of what was meant: a file that lost its end cannot be kept as sound."""
    files, state, whole = PrefixFiles(tmp_path, {}), os.urandom(8192), Path.replace

    def cut_on_the_way(path: Path, target: Path) -> Path:
        os.truncate(path, len(state) - lost)
        return whole(path, target)

    monkeypatch.setattr(Path, "replace", cut_on_the_way)
    files.add([1], state)
    assert len(_files(tmp_path)) == 1
    assert files.find([1]) is None
    monkeypatch.undo()
    files.add([1], state)
    assert files.find([1]) == bytearray(state)


def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    files = PrefixFiles(tmp_path / "folder", {})
    monkeypatch.setattr(Path, "replace", full)
    files.add([1], b"state")
    assert _files(tmp_path / "folder") == []
    assert files.find([1]) is None


def test_a_folder_that_is_a_file_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("in the way", encoding="utf-8")
    files = PrefixFiles(tmp_path / "folder", {})
    files.add([1], b"state")
    assert files.find([1]) is None
    files.drop([1])


def test_a_file_that_cannot_be_opened_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = PrefixFiles(tmp_path, {})
    files.add([1], b"state")

    def closed(*_args: object) -> bytearray:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_regular", closed)
        assert files.find([1]) is None
    monkeypatch.setattr(os, "utime", closed)  # a folder that may be read only
    assert files.find([1]) == bytearray(b"state")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    files = PrefixFiles(tmp_path, {})
    files.add([1], b"state")
    (path,) = _files(tmp_path)
    key = path.name.partition("-")[0]
    os.mkfifo(tmp_path / f"{key}-{'0' * 64}.state")
    (tmp_path / f"{key}-{'1' * 64}.state").mkdir()
    (tmp_path / f"{key}-{'2' * 64}.state").symlink_to(tmp_path / "nowhere")
    assert files.find([1]) == bytearray(b"state")


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 250)
    files = PrefixFiles(tmp_path, {})
    for number in range(2):
        files.add([number], os.urandom(100))
        for path in tmp_path.iterdir():
            os.utime(path, (1000 + number, 1000 + number))
    assert files.find([0]) is not None  # used last
    files.add([2], os.urandom(100))
    assert [files.find([number]) is not None for number in range(3)] == [True, False, True]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / "x.new"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (1000, 1000))
    PrefixFiles(tmp_path, {}).add([1], b"state")
    assert [path.suffix for path in _files(tmp_path)] == [".state"]


# With a model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EDGEGUARD_HOME", str(tmp_path))
    yield prefix_folder()


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
    for path in _files(home):  # the child that tried the model first left them
        path.unlink()
    computed.clear()
    assert _both(nano_path) == first
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


def _replace_contents(home: Path, content: Callable[[bytes], bytes]) -> None:
    """Another content for each start, each under its own right sha256."""
    for path in _files(home):
        wrong = content(path.read_bytes())
        path.unlink()
        key = path.name.partition("-")[0]
        (home / f"{key}-{hashlib.sha256(wrong).hexdigest()}.state").write_bytes(wrong)


@pytest.mark.parametrize(
    "content",
    [
        lambda _state: b"no state at all" * 50,
        lambda state: state[: len(state) // 2],
        lambda state: state[:-1],
        lambda state: state + b"x" * 100,
        lambda state: bytes(len(state)),
        # After three numbers, that of the cells; then position and sequences of each cell.
        lambda state: state[:12] + b"\xff" * 4 + state[16:],
        lambda state: state[:12] + b"\x05\0\0\0" + state[16:],
        lambda state: state[:16] + b"\x7f" * 64 + state[80:],
    ],
    ids=["foreign", "half", "cut", "longer", "zeros", "many cells", "few cells", "positions"],
)
def test_a_start_of_other_content_under_its_own_hash_is_made_again(
    nano_path: Path, home: Path, computed: list[int], content: Callable[[bytes], bytes]
) -> None:
    first = _both(nano_path)
    _replace_contents(home, content)
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) > 190
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) < 150


def test_a_start_behind_which_no_number_comes_out_is_made_again(
    nano_path: Path, home: Path, computed: list[int]
) -> None:
    first = _both(nano_path)
    # Half floats of 0xffff are NaN: the cells' numbers follow some 12 bytes for each of them.
    _replace_contents(home, lambda state: state[:-100_000] + b"\xff" * 100_000)
    computed.clear()
    assert _both(nano_path) == first
    assert max(computed) > 190


def test_a_start_that_loads_and_then_fails_is_dropped(
    nano_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp refuses to compute behind a state whose positions it took and does not like."""
    first = _both(nano_path)
    before = {path.name: path.stat().st_ino for path in _files(home)}
    whole, failures = PrefixCache._compute, []

    def once(self: PrefixCache, tokens: list[int], ahead: list[int]) -> object:
        if self._doubted is not None:
            failures.append(len(tokens))
            raise SessionError("llama.cpp could not compute (-1)")
        return whole(self, tokens, ahead)

    monkeypatch.setattr(PrefixCache, "_compute", once)
    assert _both(nano_path) == first
    assert len(failures) == 2
    monkeypatch.undo()
    assert not before.keys() & {path.name for path in _files(home)}  # dropped, not kept for later
    assert _both(nano_path) == first


_ANY_BYTE = """
import hashlib, pathlib, random, sys
from edgeguard import EdgeguardError, Guard
home, guard = pathlib.Path(sys.argv[1]), Guard(sys.argv[2], threads=1)
guard.check("Hello there")
whole = {path: path.read_bytes() for path in home.glob("*.state")}
for seed in range(20):
    for old in home.glob("*.state"):
        old.unlink()
    for path, state in whole.items():
        data, chance = bytearray(state), random.Random(seed)
        for _ in range(chance.choice((1, 4, 64))):
            data[chance.randrange(chance.choice((64, 4096, len(data))))] ^= 1 << seed % 8
        key = path.name.partition("-")[0]
        (home / f"{key}-{hashlib.sha256(data).hexdigest()}.state").write_bytes(data)
    guard._thread.run(guard._model.get().session.free_contexts)
    try:
        guard.check("Hello there")
    except EdgeguardError as error:
        print(type(error).__name__)
print("end")
"""


def test_any_byte_of_a_start_may_be_another(nano_path: Path, home: Path) -> None:
    """Whatever lies there under its own name: a verdict or an error, and never a signal."""
    command = [sys.executable, "-c", _ANY_BYTE, str(home), str(nano_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("end\n")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk"
)
def test_any_size_of_a_full_disk_costs_time_and_nothing_else(
    nano_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "small"
    home.mkdir()
    monkeypatch.setenv("EDGEGUARD_HOME", str(home))
    with Guard(nano_path, threads=1) as guard:
        session = guard._model.get().session
        assert isinstance(session, LlamaSession)
        expected = _essence(guard.check("Hello there"))
        sizes = [state.stat().st_size for state in _files(prefix_folder())]
        pages = -(-max(sizes) // 4096)
        for state in _files(prefix_folder()):
            state.unlink()
        for spare in range(-2, 4):
            size = f"size={(pages + spare) * 4}k"
            mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(prefix_folder())]
            if subprocess.run(mount, capture_output=True).returncode:
                pytest.skip("this machine mounts no small disk")
            try:
                for _ in range(2):
                    guard._thread.run(session.free_contexts)
                    assert _essence(guard.check("Hello there")) == expected
                for path in _files(prefix_folder()):
                    name = path.stem.partition("-")[2]
                    assert hashlib.sha256(path.read_bytes()).hexdigest() == name
            finally:
                subprocess.run(["umount", str(prefix_folder())], check=True)


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
