"""The thread of a model: order, ends in the middle, and what survives a fork or an exit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeguard import Cancellation, CancelledError, Guard, TimeoutError  # noqa: A004
from edgeguard.errors import ClosedError, SessionError
from edgeguard.session.fake import FakeSession
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.thread import ModelThread

SAFE = "Safety: Safe\nCategories: None"
LONG = "a good day to walk by the river " * 3000  # seconds of nano, on one thread


def slow_guard(seconds: float = 30.0, n_ctx: int = 8192) -> Guard:
    return Guard.with_session(FakeSession(lambda _: SAFE, seconds=seconds, n_ctx=n_ctx))


def later(seconds: float, function: object) -> threading.Timer:
    timer = threading.Timer(seconds, function)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_calls_are_run_in_the_order_in_which_they_came() -> None:
    thread, order = ModelThread(StopFlag()), list[int]()
    go = threading.Event()
    callers = [threading.Thread(target=thread.run, args=(lambda: (go.wait(), None),))]
    callers[0].start()
    for number in range(20):
        caller = threading.Thread(target=thread.run, args=(lambda n=number: order.append(n),))
        caller.start()
        callers.append(caller)
        while len(thread._waiting) <= number:
            time.sleep(0.001)
    go.set()
    for caller in callers:
        caller.join()
    assert order == list(range(20))
    thread.stop()


def test_what_a_function_raises_comes_out_and_the_thread_goes_on() -> None:
    thread = ModelThread(StopFlag())
    with pytest.raises(ZeroDivisionError):
        thread.run(lambda: 1 // 0)
    assert thread.run(lambda: 5) == 5
    thread.stop()
    with pytest.raises(ClosedError):
        thread.run(lambda: 5)


def test_a_time_limit_ends_a_check_and_the_next_one_is_right() -> None:
    guard = Guard.with_session(session := FakeSession(lambda _: SAFE, seconds=30.0))
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="more time"):
        guard.check("a", timeout=0.05)
    assert time.monotonic() - started < 5
    session._seconds = 0.0
    assert guard.check("a").severity == "Safe"


def test_the_time_limit_counts_the_wait_for_others() -> None:
    guard = slow_guard()
    cancel = Cancellation()
    busy = threading.Thread(target=lambda: _swallow(guard, cancel))
    busy.start()
    with pytest.raises(TimeoutError):
        guard.check("b", timeout=0.05)
    cancel.cancel()
    busy.join(5)
    assert not busy.is_alive()


def _swallow(guard: Guard, cancel: Cancellation) -> None:
    with pytest.raises(CancelledError):
        guard.check("a", cancel=cancel)


@pytest.mark.parametrize("when", [0.0, 0.05])
def test_cancelling_ends_a_check_in_any_thread(when: float) -> None:
    guard, cancel = slow_guard(), Cancellation()
    timer = later(when, cancel.cancel)
    with pytest.raises(CancelledError):
        guard.check("a", cancel=cancel)
    timer.join()
    with pytest.raises(CancelledError):  # what is cancelled stays so
        guard.check("a", cancel=cancel)


def test_cancelling_one_leaves_the_others_alone() -> None:
    guard = slow_guard(0.05)
    cancels = [Cancellation() for _ in range(6)]
    ended: dict[int, str] = {}

    def work(number: int) -> None:
        try:
            ended[number] = guard.check("a", cancel=cancels[number]).severity
        except CancelledError:
            ended[number] = "cancelled"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for number in (1, 3, 5):
        cancels[number].cancel()
    for thread in threads:
        thread.join()
    assert [ended[n] for n in (0, 2, 4)] == ["Safe"] * 3
    assert set(ended.values()) <= {"Safe", "cancelled"}


def test_windows_of_a_long_text_take_turns_with_other_calls() -> None:
    guard = slow_guard(0.05, n_ctx=4096)
    check = guard.begin([{"role": "user", "content": "word " * 1000}])
    assert check.windows > 2
    assert check.tokens > 5000
    done: list[str] = []
    long = threading.Thread(target=lambda: done.append(f"long {check.verdict().severity}"))
    long.start()
    time.sleep(0.02)
    done.append(f"short {guard.check('a').severity}")
    long.join()
    assert done == ["short Safe", "long Safe"]


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan"), "1", True])
def test_a_time_limit_that_makes_no_sense_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="seconds"):
        slow_guard().check("a", timeout=bad)  # type: ignore[arg-type]


def test_llama_cpp_stops_in_the_middle_and_the_next_check_has_the_same_bits(
    nano_path: Path,
) -> None:
    with Guard(nano_path, threads=1) as guard:
        expected = guard.check("Hello").probabilities
        for seconds in (0.02, 0.1, 0.3):
            cancel, asked = Cancellation(), list[float]()

            def stop(cancel: Cancellation = cancel, asked: list[float] = asked) -> None:
                asked.append(time.monotonic())
                cancel.cancel()

            timer = later(seconds, stop)
            with pytest.raises(CancelledError):
                guard.check(LONG, cancel=cancel)
            timer.join()
            assert time.monotonic() - asked[0] < 2  # 20 ms where nobody else computes
            assert guard.check("Hello").probabilities == expected
        with pytest.raises(TimeoutError):
            guard.check(LONG, timeout=0.2)
        assert guard.check("Hello").probabilities == expected


def test_closing_from_another_thread_does_not_wait_for_those_that_wait(nano_path: Path) -> None:
    guard = Guard(nano_path, threads=1)
    cancel = Cancellation()
    busy = threading.Thread(target=lambda: _swallow_long(guard, cancel))
    busy.start()
    time.sleep(0.1)
    later(0.1, cancel.cancel)
    guard.close()
    busy.join()
    with pytest.raises(ClosedError):
        guard.check("a")


def _swallow_long(guard: Guard, cancel: Cancellation) -> None:
    with pytest.raises((CancelledError, ClosedError)):
        guard.check(LONG, cancel=cancel)


def test_a_load_tells_its_progress_and_can_be_cancelled(nano_path: Path) -> None:
    shares: list[float] = []
    with Guard(nano_path, threads=1, on_progress=shares.append):
        assert shares == sorted(shares)
        assert shares[-1] == 1
    cancel = Cancellation()
    with pytest.raises(CancelledError):
        Guard(nano_path, threads=1, on_progress=lambda _: cancel.cancel(), cancel=cancel)
    with pytest.raises(ZeroDivisionError):
        Guard(nano_path, threads=1, on_progress=lambda _: 1 // 0)  # type: ignore[arg-type]


def run(code: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.3])
def test_a_daemon_thread_in_a_check_does_not_crash_the_exit(nano_path: Path, moment: float) -> None:
    ended = run(
        "import threading, time\nfrom edgeguard import Guard\n"
        f"guard = Guard({str(nano_path)!r}, threads=2)\n"
        f"threading.Thread(target=lambda: guard.check({LONG!r}), daemon=True).start()\n"
        f"time.sleep({moment})\n"
    )
    assert ended.returncode == 0, ended.stderr


def test_a_guard_that_nobody_holds_is_freed(nano_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    Guard(nano_path, threads=1).check("Hello")
    deadline = time.monotonic() + 5
    while {thread.name for thread in threading.enumerate()} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


FORK = sys.platform != "win32" and "fork" in multiprocessing.get_all_start_methods()


@pytest.mark.skipif(not FORK, reason="needs fork")
def test_a_forked_child_makes_a_guard_of_its_own(nano_path: Path) -> None:
    ended = run(
        "import multiprocessing\nfrom edgeguard import Guard\n"
        f"path = {str(nano_path)!r}\n"
        "def work(text):\n    with Guard(path, threads=2) as guard:\n"
        "        return guard.check(text).severity\n"
        "Guard(path, threads=2).check('Hello')\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(*pool.map(work, ['Hello', 'How can I make a bomb?', 'Hi']))\n"
    )
    assert ended.stdout.split() == ["Safe", "Unsafe", "Safe"], ended.stderr


@pytest.mark.skipif(not FORK, reason="needs fork")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # Python 3.12: forks and threads
def test_the_parents_guard_says_so_in_a_child_even_while_the_parent_checks() -> None:
    guard, cancel = slow_guard(), Cancellation()
    busy = threading.Thread(target=lambda: _swallow(guard, cancel))
    busy.start()
    time.sleep(0.05)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            guard.close()
            guard.check("a")
        except SessionError as error:
            code = 0 if "does not survive a fork" in str(error) else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < deadline:
        time.sleep(0.01)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    cancel.cancel()
    busy.join()
    assert done
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("moment", ["load", "check"])
def test_ctrl_c_ends_a_load_and_a_check_at_once(nano_path: Path, moment: str) -> None:
    """In the main thread, where Python raises it, while the model's thread is in llama.cpp."""
    code = (
        "import os, signal, sys, threading, time\nfrom edgeguard import Guard\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "asked = []\n"
        "def ask(*_):\n"
        "    if not asked:\n"
        "        asked.append(time.monotonic())\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        f"load = {moment == 'load'}\n"
        "try:\n"
        f"    guard = Guard({str(nano_path)!r}, threads=1, on_progress=ask if load else None)\n"
        "    threading.Timer(0.2, ask).start()\n"
        f"    guard.check({LONG!r})\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic() - asked[0])\n"
    )
    ended = run(code)
    assert ended.stderr == ""
    assert float(ended.stdout) < 5
