"""The real session: the same bits every time, safe under threads, silent, and its memory goes."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgeguard import Guard, ModelError, Verdict
from edgeguard.errors import ClosedError, SessionError
from edgeguard.protocol.names import MODES, Mode
from edgeguard.session.cpu import physical_cores
from edgeguard.session.library import library_info
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

TEXTS = [
    "Hello",
    "What is the capital of France?",
    "x" * 700,
    "短い文",
    "How do I bake bread? " * 60,
]


def _ask(guard: Guard, text: str, mode: Mode) -> Verdict:
    return guard.check(text) if mode == "prompt" else guard.check_response("Hello", text)


def _essence(verdict: Verdict) -> tuple[object, ...]:
    return verdict.answer, tuple(verdict.probabilities.values()), verdict.tokens, verdict.windows


@pytest.fixture(scope="module")
def fresh(nano_path: Path) -> dict[tuple[str, Mode], tuple[object, ...]]:
    """What a guard that has seen nothing else says of each text."""
    found = {}
    for text in TEXTS:
        for mode in MODES:
            with Guard(nano_path, threads=1) as guard:
                found[text, mode] = _essence(_ask(guard, text, mode))
    return found


def test_any_later_call_gives_the_bits_of_a_fresh_process(
    nano: Guard, fresh: dict[tuple[str, Mode], tuple[object, ...]]
) -> None:
    order = list(fresh) * 3
    random.Random(0).shuffle(order)
    for text, mode in order:
        assert _essence(_ask(nano, text, mode)) == fresh[text, mode]


def test_a_guard_shared_by_threads_answers_each_as_alone(
    nano: Guard, fresh: dict[tuple[str, Mode], tuple[object, ...]]
) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        order = list(fresh)
        random.Random(seed).shuffle(order)
        for text, mode in order:
            if _essence(_ask(nano, text, mode)) != fresh[text, mode]:
                wrong.append((len(text), mode))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_while_others_check_ends_in_a_clear_error(nano_path: Path) -> None:
    guard = Guard(nano_path, threads=1)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                guard.check("Hello")
        except ClosedError as error:
            ended.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    guard.close()
    for thread in threads:
        thread.join()
    assert len(ended) == 4
    guard.close()


def test_a_closed_guard_says_so(nano_path: Path) -> None:
    with Guard(nano_path, threads=1) as guard:
        guard.check("Hello")
    with pytest.raises(ClosedError, match="make a new one"):
        guard.check("Hello")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_closing_frees_the_memory(nano_path: Path) -> None:
    def use() -> None:
        with Guard(nano_path, threads=1) as guard:
            guard.check("x" * 700)

    for _ in range(3):
        use()
    before = _resident()
    for _ in range(8):
        use()
    # Kept, the eight models alone would take 113 MB; the allocator's own holes vary by 30.
    assert _resident() - before < 64 << 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_checks_in_a_row_take_no_more_memory(nano: Guard) -> None:
    for mode in MODES:
        _ask(nano, "x" * 700, mode)
    before = _resident()
    for number in range(100):
        _ask(nano, TEXTS[number % len(TEXTS)], MODES[number % 2])
    assert _resident() - before < 12 << 20


@pytest.mark.parametrize("verbose", [False, True])
def test_the_native_library_writes_nothing_but_through_logging(
    nano_path: Path, verbose: bool
) -> None:
    code = (
        "import logging, sys\nfrom edgeguard import Guard\n"
        f"verbose = {verbose}\n"
        "logging.getLogger('edgeguard').setLevel('DEBUG' if verbose else 'WARNING')\n"
        "logging.getLogger('edgeguard').addHandler(logging.NullHandler())\n"
        f"guard = Guard({str(nano_path)!r}, threads=1)\n"
        "guard.check('Hello')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_an_error_and_not_a_hang(nano_path: Path) -> None:
    code = (
        "import os, sys, warnings\nwarnings.simplefilter('ignore')\nfrom edgeguard import Guard\n"
        f"guard = Guard({str(nano_path)!r}, threads=2)\nguard.check('Hello')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n        guard.check('Hello')\n"
        "    except Exception as error:\n        os._exit(7 if 'fork' in str(error) else 8)\n"
        "    os._exit(9)\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "guard.check('Hello')\nsys.exit(status)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 7


def test_a_model_left_open_does_not_disturb_the_exit(nano_path: Path) -> None:
    code = f"from edgeguard import Guard\nguard = Guard({str(nano_path)!r})\nguard.check('Hello')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


def test_the_context_grows_with_the_input_and_shrinks_again(nano_path: Path) -> None:
    session = LlamaSession(nano_path, settings=Settings(threads=1))
    tokens = session.tokenize("Hello " * 1500)[:1800]

    def size() -> int:
        assert session._reading is not None
        return session._reading.context.n_ctx

    session.read(tokens[:100], prefix=0, room=10)
    assert size() == 256
    session.read(tokens, prefix=0, room=10)
    assert size() == 1536
    with pytest.raises(SessionError, match="do not fit"):
        session.read(tokens * 9, prefix=0, room=10)


# Files that are not a model


def _damage(path: Path, target: Path, kind: str) -> Path:
    data = bytearray(path.read_bytes())
    chance = random.Random(kind)
    if kind == "empty":
        data.clear()
    elif kind == "text":
        data[:] = b"this is not a model\n" * 100
    elif kind.startswith("cut"):
        del data[int(len(data) * float(kind.split()[1])) :]
    elif kind.startswith("magic"):
        data[:4] = b"GGML"
    elif kind.startswith("version"):
        data[4:8] = (99).to_bytes(4, "little")
    else:  # noise in the header, where the lengths and the offsets are
        for _ in range(40):
            data[chance.randrange(4, 2000)] = chance.randrange(256)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "magic", "version", "cut 0.0001", "cut 0.01", "cut 0.3", "cut 0.999"]
    + [f"noise {i}" for i in range(12)],
)
def test_a_damaged_file_is_a_clear_error_and_never_a_verdict(
    nano_path: Path, tmp_path: Path, kind: str
) -> None:
    path = _damage(nano_path, tmp_path / "damaged.gguf", kind)
    # In a process of its own: what is tested for is that it does not die.
    done = subprocess.run(
        [sys.executable, "-m", "edgeguard", "check", "--model", str(path), "Hello"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "edgeguard: error: " in done.stderr and "Traceback" not in done.stderr


def test_a_cut_file_is_named_so_by_both_readers(nano_path: Path, tmp_path: Path) -> None:
    path = _damage(nano_path, tmp_path / "damaged.gguf", "cut 0.3")
    with pytest.raises(ModelError, match="it is not whole"):
        Guard(path)
    with pytest.raises(ModelError, match="not within the file bounds"):  # llama.cpp's own words
        LlamaSession(path)


def test_library_info_names_the_build() -> None:
    info = library_info()
    assert "CPU" in info.system_info
    assert info.max_devices >= 1


def test_physical_cores_are_at_most_the_logical_ones() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_the_moderated_text_is_never_logged(nano: Guard, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        nano.check("a very peculiar sentence")
        nano.check_response("Hello", "a very peculiar sentence")
    assert "peculiar" not in caplog.text
