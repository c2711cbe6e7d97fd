"""idle_unload: memory that is given back, the next call that loads, and what may come between."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

from edgeguard import (
    AsyncGuard,
    Cancellation,
    CancelledError,
    ClosedError,
    Guard,
    InputError,
    ModelError,
    StoreError,
    child_process,
)
from edgeguard.convert import convert

TEXT = "What is the capital of France?"


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def copied(nano_path: Path, tmp_path: Path) -> Path:
    """A copy of the built-in model that a test may change."""
    return Path(shutil.copy(nano_path, tmp_path / "copy.gguf"))


def test_it_is_unloaded_when_idle_and_loaded_at_the_next_call(nano_path: Path) -> None:
    progress: list[float] = []
    with Guard(nano_path, threads=1, idle_unload=0.05, on_progress=progress.append) as guard:
        first, model, settings = guard.check(TEXT), guard.model, guard.settings
        until(lambda: not guard.is_loaded)
        assert (guard.model, guard.settings, guard.device) == (model, settings, "cpu")
        progress.clear()
        again = guard.check(TEXT)
        assert progress[-1] == 1.0
        assert again.probabilities == first.probabilities
        until(lambda: not guard.is_loaded)
        assert guard.tokenize("a b") == (b"a", b" b")
        until(lambda: not guard.is_loaded)
    with pytest.raises(ClosedError):
        guard.check(TEXT)


def test_without_it_the_model_stays(nano: Guard) -> None:
    assert nano.is_loaded


MEASURE = """
import os, sys, time
from pathlib import Path
from edgeguard import Guard

def resident():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

with Guard(sys.argv[1], threads=1, allow_random_weights=True, idle_unload=0.2) as guard:
    for _ in range(2):
        guard.check("What is the capital of France?")
        loaded = resident()
        while guard.is_loaded:
            time.sleep(0.01)
        print(loaded, resident())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see its memory")
def test_the_memory_is_given_back(tmp_path: Path) -> None:
    large = write_checkpoint(
        tmp_path / "large", hidden=512, layers=8, heads=8, kv_heads=8, ffn=2048
    )
    path = convert(large, tmp_path / "large.gguf", type="bf16", trust_template=True).path
    size = path.stat().st_size
    assert size > 60e6
    # Alone in a process: what other tests left behind is given back at any time.
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], stdout=subprocess.PIPE, text=True, check=True
    )
    for line in done.stdout.splitlines():
        loaded, idle = map(int, line.split())
        assert loaded - idle > 0.8 * size, done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_a_file_that_was_replaced_meanwhile_is_an_error(copied: Path, random_model: Path) -> None:
    with Guard(copied, threads=1, idle_unload=0.02, allow_random_weights=True) as guard:
        until(lambda: not guard.is_loaded)
        os.utime(copied)  # the same content is the same model
        guard.check(TEXT)
        until(lambda: not guard.is_loaded)
        shutil.copy(random_model, copied)
        for _ in range(2):
            with pytest.raises(ModelError, match="another file than the guard was made with"):
                guard.check(TEXT)
        copied.unlink()
        with pytest.raises(StoreError, match=r"copy\.gguf cannot be read"):
            guard.check(TEXT)


def test_it_is_not_tried_out_again(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Guard(copied, threads=1, idle_unload=0.02) as guard:
        until(lambda: not guard.is_loaded)
        monkeypatch.delattr(child_process, "run")
        assert not guard.check(TEXT).flagged


def test_calls_that_come_while_it_unloads_wait_and_are_answered(nano_path: Path) -> None:
    with Guard(nano_path, threads=1, idle_unload=0.001) as guard:
        expected = guard.check(TEXT, policy="loose").probabilities

        def ask(number: int) -> bool:
            time.sleep(number % 7 / 500)
            verdict = guard.check(TEXT, policy="loose", timeout=60)
            return verdict.probabilities == expected

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, range(40)))


def test_a_call_that_loads_can_be_cancelled(nano_path: Path) -> None:
    cancel, armed = Cancellation(), threading.Event()

    def progress(_share: float) -> None:
        if armed.is_set():
            cancel.cancel()

    with Guard(nano_path, threads=1, idle_unload=0.02, on_progress=progress) as guard:
        until(lambda: not guard.is_loaded)
        armed.set()
        with pytest.raises(CancelledError):
            guard.check(TEXT, cancel=cancel)
        assert not guard.check(TEXT).flagged


def test_a_task_that_loads_can_be_cancelled_and_the_next_one_loads(nano_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncGuard(nano_path, threads=1, idle_unload=0.05) as guard:
            await asyncio.to_thread(until, lambda: not guard.is_loaded)
            first = asyncio.ensure_future(guard.check(TEXT))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            verdicts = await asyncio.gather(*(guard.check(f"{TEXT} {i}") for i in range(10)))
            assert len(verdicts) == 10

    asyncio.run(scenario())


def test_closing_an_idle_one(nano_path: Path) -> None:
    guard = Guard(nano_path, threads=1, idle_unload=0.02)
    until(lambda: not guard.is_loaded)
    guard.close()
    guard.close()
    with pytest.raises(ClosedError):
        guard.check(TEXT)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "5"])
def test_times_that_make_no_sense(nano_path: Path, wrong: float) -> None:
    with pytest.raises(InputError, match="idle_unload"):
        Guard(nano_path, idle_unload=wrong)
