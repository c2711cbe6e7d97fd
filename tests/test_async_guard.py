"""AsyncGuard: many tasks, some that are cancelled, loops in two threads, ends of every kind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from failing import FailingSession
from served import Doorman, scripted
from workers import until

from edgeguard import (
    AsyncGuard,
    ClosedError,
    EdgeguardError,
    Guard,
    InputError,
    ModelError,
    ModelNotFoundError,
    SessionError,
    TimeoutError,  # noqa: A004 - it is one
    Verdict,
)
from edgeguard.session.fake import FakeSession

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 60))


def fake(script: Callable[[str], str] = scripted, **more: Any) -> AsyncGuard:
    return AsyncGuard.with_session(FakeSession(script, **more))


def test_it_has_the_methods_of_a_guard_with_their_arguments() -> None:
    for name, method in vars(Guard).items():
        if name.startswith("_") or name in ("begin", "answer_ahead") or not callable(method):
            continue
        here = inspect.signature(getattr(AsyncGuard, name)).parameters
        there = inspect.signature(method).parameters
        # Its texts take turns with other callers', each alone: they are exact always.
        assert [*here] == [each for each in there if each not in ("cancel", "exact")], name
        for each, parameter in here.items():
            assert parameter.default == there[each].default, (name, each)
    loads = inspect.signature(Guard.__init__).parameters
    assert [*inspect.signature(AsyncGuard.__init__).parameters] == [
        each
        for each in loads
        if each not in ("cancel", "one_shot")  # a loop runs on
    ]


def test_it_gives_what_a_guard_gives(nano: Guard, nano_path: Path) -> None:
    progress: list[float] = []

    async def scenario() -> None:
        loading = AsyncGuard(nano_path, threads=1, on_progress=progress.append)
        assert not loading.is_loaded
        async with loading as guard:
            assert guard.is_loaded
            assert guard.model.sha256 == nano.model.sha256
            assert (guard.device, guard.policy) == (nano.device, nano.policy)
            assert guard.settings is not None
            alike(await guard.check("Hello"), nano.check("Hello"))
            alike(
                await guard.check_response("Hello", "Hi.", policy="loose"),
                nano.check_response("Hello", "Hi.", policy="loose"),
            )
            long = "a word and another " * 250
            alike(await guard.check(long), nano.check(long))
            assert await guard.tokenize("Hello") == nano.tokenize("Hello")
            rows: list[str | dict[str, object]] = [
                "Hello",
                "",
                {"text": "Hello", "response": "Hi."},
                "Hello",
            ]
            found = [each async for each in guard.check_many(rows)]
            for here, there in zip(found, nano.check_many(rows), strict=True):
                assert type(here) is type(there)
                assert str(here) == str(there) or alike(here, there)
        assert not loading.is_loaded

    run(scenario())
    assert progress[-1] == 1.0


def alike(one: object, other: object) -> bool:
    assert isinstance(one, Verdict)
    assert isinstance(other, Verdict)
    there = other.to_dict()
    for name, value in one.to_dict().items():
        if name == "probabilities":
            assert value == pytest.approx(there[name], abs=0.02)
        elif name not in ("seconds", "model", "choices"):
            assert value == there[name], name
    return True


def test_fifty_tasks_of_which_some_are_cancelled() -> None:
    draw = random.Random(7)

    async def scenario() -> None:
        async with fake(seconds=0.003) as guard:
            texts = [f"{number} {'unsafe' if number % 3 == 0 else 'mild'}" for number in range(50)]
            tasks = [asyncio.ensure_future(guard.check(text)) for text in texts]
            gone = set()
            for number in draw.sample(range(50), 20):
                await asyncio.sleep(0.004)
                if tasks[number].cancel():
                    gone.add(number)
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert len(gone) > 5
            for number, outcome in enumerate(found):
                if number in gone:
                    assert isinstance(outcome, asyncio.CancelledError)
                else:
                    assert isinstance(outcome, Verdict)
                    assert outcome.flagged == (number % 3 == 0)
            assert (await guard.check("unsafe")).flagged

    run(scenario())


def test_a_cancelled_task_stops_the_computation_at_once() -> None:
    session = FakeSession(scripted)

    async def scenario() -> None:
        async with AsyncGuard.with_session(session) as guard:
            session._seconds = 30.0
            slow = asyncio.ensure_future(guard.check("a"))
            await until(lambda: guard._worker.queue.busy_seconds > 0)
            slow.cancel()
            started = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await slow
            session._seconds = 0.0
            assert (await guard.check("unsafe")).flagged
            assert time.monotonic() - started < 5

    run(scenario())


def test_a_computation_of_llama_cpp_is_stopped_too(nano_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncGuard(nano_path, threads=1) as guard:
            long = "a word and another " * 700
            began = time.monotonic()
            await guard.check(long)
            whole = time.monotonic() - began
            slow = asyncio.ensure_future(guard.check(long + "!"))
            await asyncio.sleep(whole / 10)
            slow.cancel()
            cancelled = time.monotonic()
            await guard.check("Hello")
            assert time.monotonic() - cancelled < whole / 2

    run(scenario())


def test_two_loops_share_one_guard() -> None:
    guard = fake(seconds=0.001)
    found: dict[str, list[bool]] = {}

    async def many(word: str) -> None:
        verdicts = await asyncio.gather(*(guard.check(f"{word} {i}") for i in range(25)))
        found[word] = [verdict.flagged for verdict in verdicts]

    threads = [threading.Thread(target=run, args=(many(word),)) for word in ("unsafe", "mild")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    run(guard.close())
    assert found == {"unsafe": [True] * 25, "mild": [False] * 25}


def test_closing_ends_what_waits_and_finishes_what_runs() -> None:
    door = Doorman()

    async def scenario() -> None:
        guard = fake(door)
        runs = asyncio.ensure_future(guard.check("wait"))
        await asyncio.to_thread(door.arrived.wait, 20)
        waits = [asyncio.ensure_future(guard.check("b")) for _ in range(3)]
        await until(lambda: guard._worker.depth == 3)
        closing = asyncio.ensure_future(guard.close())
        for each in waits:
            with pytest.raises(ClosedError, match="make a new one"):
                await each
        door.open.set()
        assert not (await runs).flagged
        await closing
        await guard.close()
        with pytest.raises(ClosedError):
            await guard.check("c")
        with pytest.raises(ClosedError):
            await guard.tokenize("c")

    run(scenario())


def test_one_that_was_closed_before_it_was_loaded_never_is() -> None:
    async def scenario() -> None:
        guard = fake()
        await guard.close()
        with pytest.raises(ClosedError):
            await guard.check("a")

    run(scenario())


@pytest.mark.filterwarnings("error")
def test_one_that_nobody_holds_is_freed(nano_path: Path) -> None:
    async def scenario() -> None:
        await AsyncGuard(nano_path, threads=1).check("Hello")
        gc.collect()
        await until(lambda: not running())

    def running() -> set[str]:
        return {t.name for t in threading.enumerate() if t.name.startswith("edgeguard")} - before

    before = {thread.name for thread in threading.enumerate()}
    run(scenario())


def test_a_load_that_fails_says_why_to_everyone(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(ModelNotFoundError):
            async with AsyncGuard("no-such-model"):
                pass
        guard = AsyncGuard(tmp_path / "none.gguf")
        found = await asyncio.gather(*(guard.check("a") for _ in range(5)), return_exceptions=True)
        assert all(isinstance(each, ModelNotFoundError) for each in found), found
        assert len({id(each) for each in found}) == 5
        with pytest.raises(InputError, match="device"):
            await AsyncGuard("nano", device="moon").check("a")
        with pytest.raises(SessionError, match="not loaded yet"):
            _ = fake().model

    run(scenario())


def test_a_load_is_ended_with_its_task() -> None:
    door = Doorman()

    async def scenario() -> None:
        guard = fake(lambda question: door(question.replace("What", "wait")))
        entering = asyncio.ensure_future(guard.__aenter__())
        await asyncio.to_thread(door.arrived.wait, 20)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        door.open.set()
        with pytest.raises(ClosedError):
            await guard.check("a")
        await until(lambda: not guard._worker.is_alive)

    run(scenario())


def test_one_caller_that_leaves_during_the_load_leaves_the_others() -> None:
    door = Doorman()

    async def scenario() -> None:
        guard = fake(lambda question: door(question.replace("What", "wait")))
        one, other = (asyncio.ensure_future(guard.check("unsafe")) for _ in range(2))
        await asyncio.to_thread(door.arrived.wait, 20)
        one.cancel()
        door.open.set()
        assert (await other).flagged
        with pytest.raises(asyncio.CancelledError):
            await one
        await guard.close()

    run(scenario())


def test_a_time_limit_covers_waiting_and_computing() -> None:
    session = FakeSession(scripted)

    async def scenario() -> None:
        async with AsyncGuard.with_session(session) as guard:
            session._seconds = 30.0
            first = asyncio.ensure_future(guard.check("a"))
            for text in ("b", "c"):
                with pytest.raises(TimeoutError, match="time it was given"):
                    await guard.check(text, timeout=0.05)
            first.cancel()
            with pytest.raises(TimeoutError):
                await guard.check("d", timeout=0.05)
            session._seconds = 0.0
            assert not (await guard.check("e", timeout=20)).flagged
            with pytest.raises(InputError, match="timeout"):
                await guard.check("e", timeout=0)

    run(scenario())


def test_a_time_limit_covers_the_load() -> None:
    door = Doorman()

    async def scenario() -> None:
        guard = fake(lambda question: door(question.replace("What", "wait")))
        with pytest.raises(TimeoutError):
            await guard.check("a", timeout=0.1)
        door.open.set()
        assert not (await guard.check("a")).flagged
        await guard.close()

    run(scenario())


def test_bad_arguments_are_the_caller_s_errors() -> None:
    async def scenario() -> None:
        async with fake() as guard:
            for wrong in ("", " ", 7):
                with pytest.raises(InputError):
                    await guard.check(wrong)  # type: ignore[arg-type]
            with pytest.raises(InputError, match="unknown policy"):
                await guard.check("a", policy="none")
            with pytest.raises(InputError):
                await guard.tokenize(7)  # type: ignore[arg-type]
            with pytest.raises(InputError, match="single str"):
                guard.check_many("a")
            with pytest.raises(InputError, match="unknown policy"):
                guard.check_many(["a"], policy="none")

    run(scenario())


def test_rows_that_fail_give_their_errors_and_a_broken_model_ends_them() -> None:
    session = FailingSession()
    session.n_ctx = 4096

    async def scenario() -> None:
        async with AsyncGuard.with_session(session) as guard:
            rows: list[str | dict[str, object]] = ["a", "", "heavy", {"response": "b"}, "a"]
            found = [each async for each in guard.check_many(rows)]
            kinds = [type(each).__name__ for each in found]
            assert kinds == ["Verdict", "InputError", "SessionError", "InputError", "Verdict"]
            assert found[4] is found[0]

            session.broken = True
            with pytest.raises(SessionError, match="could not compute"):
                async for _ in guard.check_many(["new"]):
                    pass
            await until(lambda: guard._worker.state == "failed")
            with pytest.raises(SessionError, match="could not compute"):
                await guard.check("b")

    run(scenario())


def test_rows_are_taken_one_by_one_and_late_ones_give_their_error() -> None:
    session, taken = FakeSession(scripted), []

    def rows() -> Any:
        for text in ("a", "b", "c"):
            taken.append(text)
            yield text

    async def scenario() -> None:
        async with AsyncGuard.with_session(session) as guard:
            found = guard.check_many(rows())
            assert taken == []
            assert isinstance(await anext_of(found), Verdict)
            assert taken == ["a"]
            found = guard.check_many(["late", "later"], timeout=0.05)
            session._seconds = 30.0
            assert isinstance(await anext_of(found), TimeoutError)
            session._seconds = 0.0
            assert isinstance(await anext_of(found), Verdict)

    run(scenario())


async def anext_of(found: Any) -> Verdict | EdgeguardError:
    result: Verdict | EdgeguardError = await found.__anext__()
    return result


def test_random_weights_are_refused_as_by_a_guard(random_model: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(ModelError):
            async with AsyncGuard(random_model, threads=1):
                pass
        async with AsyncGuard(random_model, threads=1, allow_random_weights=True) as guard:
            assert (await guard.check("Hello")).tokens > 10

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told() -> None:
    guard = fake()
    run(guard.check("a"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(guard.check("a"))
        except SessionError as error:
            code = 0 if "fork" in str(error) else 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    run(guard.close())


EXIT = """
import asyncio, sys, time
from edgeguard import AsyncGuard

async def main():
    global guard
    guard = AsyncGuard("nano", threads=1)
    task = asyncio.ensure_future(guard.check("a word and another " * 20_000))
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
print(time.time())
"""


@pytest.mark.parametrize("seconds", [0.05, 0.6])
def test_a_process_ends_at_once_with_one_that_was_never_closed(seconds: float) -> None:
    """While it loads, and while it computes: an exit must free nothing under llama.cpp."""
    done = subprocess.run(
        [sys.executable, "-c", EXIT, str(seconds)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert time.time() - float(done.stdout) < 10
