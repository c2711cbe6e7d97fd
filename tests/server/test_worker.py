"""The worker: turns, places, clients that leave, guards that fail."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import pytest
from served import Doorman, scripted
from workers import prompt, until, working

from edgeguard import (
    EdgeguardError,
    Guard,
    InputError,
    ModelError,
    ModelNotFoundError,
    PolicyError,
    SessionError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.cancellation import Cancellation
from edgeguard.conversation import read_messages
from edgeguard.policy import LOOSE, STRICT
from edgeguard.protocol.messages import Message
from edgeguard.session.fake import FakeSession
from edgeguard.verdict import Verdict
from edgeguard.worker.job import Text
from edgeguard.worker.limits import Limits
from edgeguard.worker.queue import NotReadyError, QueueFullError
from edgeguard.worker.worker import Worker, where

T = TypeVar("T")


def scripted_worker(
    script: Callable[[str], str] = scripted, *, places: int = 4
) -> AbstractContextManager[Worker]:
    return working(FakeSession(script), places=places)


def severity(_guard: Guard, verdict: Verdict) -> str:
    return verdict.severity


def ask(worker: Worker, *texts: str) -> Awaitable[list[str | EdgeguardError]]:
    return worker.run([prompt(text) for text in texts], severity)


def test_results_come_in_order() -> None:
    with scripted_worker() as worker:
        found = asyncio.run(_run(ask(worker, "a", "unsafe", "controversial", "b")))
    assert found == ["Safe", "Unsafe", "Controversial", "Safe"]


async def _run(work: Awaitable[T]) -> T:
    return await work


def test_many_at_once_each_get_their_own() -> None:
    async def many(worker: Worker) -> list[list[str | EdgeguardError]]:
        texts = ["unsafe" if i % 3 == 0 else "mild" for i in range(60)]
        found = await asyncio.gather(*(ask(worker, text) for text in texts))
        assert [one == ["Unsafe"] for one in found] == [text == "unsafe" for text in texts]
        return found

    with scripted_worker(places=60) as worker:
        assert len(asyncio.run(many(worker))) == 60


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        first = asyncio.ensure_future(ask(worker, "wait"))
        await asyncio.to_thread(door.arrived.wait)
        waiting = [asyncio.ensure_future(ask(worker, "b")) for _ in range(2)]
        await until(lambda: worker.depth == 2)
        with pytest.raises(QueueFullError) as full:
            await ask(worker, "c")
        assert 1 <= full.value.retry_after <= 60
        door.open.set()
        assert await asyncio.gather(first, *waiting) == [["Safe"]] * 3
        assert await ask(worker, "d") == ["Safe"]

    with scripted_worker(door, places=2) as worker:
        asyncio.run(scenario(worker))


def test_who_leaves_frees_the_place_and_is_not_computed() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        first = asyncio.ensure_future(ask(worker, "wait"))
        await asyncio.to_thread(door.arrived.wait)
        leaves = asyncio.ensure_future(ask(worker, "left"))
        await until(lambda: worker.depth == 1)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert worker.depth == 0
        stays = asyncio.ensure_future(ask(worker, "stays"))
        door.open.set()
        assert [*await asyncio.gather(first, stays)] == [["Safe"]] * 2

    with scripted_worker(door, places=1) as worker:
        asyncio.run(scenario(worker))
    assert "stays" in door.seen
    assert "left" not in door.seen


def test_who_leaves_in_the_middle_of_many_is_not_computed_further() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        leaves = asyncio.ensure_future(ask(worker, "wait", "second", "third"))
        await asyncio.to_thread(door.arrived.wait)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        door.open.set()
        assert await ask(worker, "stays") == ["Safe"]

    with scripted_worker(door) as worker:
        asyncio.run(scenario(worker))
    assert "second" not in door.seen


def test_a_long_list_lets_others_in_between() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        long = asyncio.ensure_future(ask(worker, "wait", "2", "3", "4"))
        await asyncio.to_thread(door.arrived.wait)
        short = asyncio.ensure_future(ask(worker, "short"))
        await until(lambda: worker.depth == 1)
        door.open.set()
        await asyncio.gather(long, short)

    with scripted_worker(door) as worker:
        asyncio.run(scenario(worker))
    assert door.seen[-5:] == ["wait", "short", "2", "3", "4"]


def test_a_bad_text_fails_alone() -> None:
    async def scenario(worker: Worker) -> None:
        found = await worker.run([prompt("x" * 700_000), prompt("b")], severity)
        assert isinstance(found[0], InputError)
        assert found[1] == "Safe"
        assert await ask(worker, "a") == ["Safe"]

    with scripted_worker() as worker:
        asyncio.run(scenario(worker))
        assert worker.state == "ready"


class Fails:
    """A script that fails once, at a text."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, question: str) -> str:
        if "fails" in question:
            raise self._error
        return scripted(question)


def test_a_failure_that_the_test_verdicts_survive_is_one_text_s() -> None:
    async def scenario(worker: Worker) -> None:
        found = await ask(worker, "a", "fails", "unsafe")
        assert [found[0], found[2]] == ["Safe", "Unsafe"]
        assert isinstance(found[1], SessionError)

    with scripted_worker(Fails(SessionError("no memory"))) as worker:
        asyncio.run(scenario(worker))
        assert worker.state == "ready"


def test_a_bug_is_one_request_s() -> None:
    async def scenario(worker: Worker) -> None:
        with pytest.raises(RuntimeError):
            await ask(worker, "a", "fails", "unsafe")
        assert await ask(worker, "a") == ["Safe"]

    with scripted_worker(Fails(RuntimeError("a bug"))) as worker:
        asyncio.run(scenario(worker))
        assert worker.state == "ready"


def test_a_guard_that_is_broken_is_never_ready_again() -> None:
    broken = threading.Event()
    failures: list[EdgeguardError] = []

    def script(question: str) -> str:
        if "broken" in question:
            broken.set()
        if broken.is_set():
            raise SessionError("the device is gone")
        return scripted(question)

    ready = threading.Event()
    worker = Worker(
        lambda _: Guard.with_session(FakeSession(script)),
        places=4,
        on_ready=lambda _guard: ready.set(),
        on_failure=failures.append,
    )

    async def scenario() -> None:
        with pytest.raises(SessionError):
            await ask(worker, "broken")
        await until(lambda: worker.state == "failed")
        with pytest.raises(NotReadyError):
            await ask(worker, "a")

    worker.start()
    assert ready.wait(20)
    asyncio.run(scenario())
    worker.stop()
    assert worker.state == "failed"
    assert [str(error) for error in failures] == ["the device is gone"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ModelNotFoundError("no model"), ModelNotFoundError), (MemoryError("x"), ModelError)],
)
def test_a_load_that_fails_is_told(error: Exception, kind: type[EdgeguardError]) -> None:
    failures: list[EdgeguardError] = []

    def load(_cancel: Cancellation) -> Guard:
        raise error

    worker = Worker(load, places=1, on_failure=failures.append)
    worker.start()
    worker.stop()
    assert worker.state == "failed"
    assert [type(failure) for failure in failures] == [kind]
    with pytest.raises(NotReadyError):
        asyncio.run(_run(ask(worker, "a")))


def test_nothing_is_judged_before_the_test_verdicts() -> None:
    door = Doorman()
    worker = Worker(
        lambda _: Guard.with_session(FakeSession(lambda q: door(q.replace("What", "wait")))),
        places=1,
    )
    worker.start()
    assert door.arrived.wait(20)
    assert worker.state == "loading"
    with pytest.raises(NotReadyError, match="loaded"):
        asyncio.run(_run(ask(worker, "a")))
    door.open.set()
    worker.stop()


def test_stopping_finishes_what_runs_and_refuses_what_waits() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        runs = asyncio.ensure_future(ask(worker, "wait"))
        await asyncio.to_thread(door.arrived.wait)
        waits = asyncio.ensure_future(ask(worker, "b"))
        await until(lambda: worker.depth == 1)
        stopping = asyncio.ensure_future(asyncio.to_thread(worker.stop))
        with pytest.raises(NotReadyError, match="stopping"):
            await waits
        door.open.set()
        assert await runs == ["Safe"]
        await stopping
        with pytest.raises(NotReadyError, match="stopping"):
            await ask(worker, "c")

    with scripted_worker(door) as worker:
        asyncio.run(scenario(worker))


def test_without_bounds_any_number_waits() -> None:
    door = Doorman()

    async def scenario(worker: Worker) -> None:
        await worker.ready()
        first = asyncio.ensure_future(ask(worker, "wait"))
        assert await asyncio.to_thread(door.arrived.wait, 20)
        waiting = [asyncio.ensure_future(ask(worker, "b")) for _ in range(300)]
        await until(lambda: worker.depth == 300)
        door.open.set()
        assert await asyncio.gather(first, *waiting) == [["Safe"]] * 301
        assert worker.limits == Limits()

    worker = Worker(lambda _: Guard.with_session(FakeSession(door)), timeout=None)
    worker.start()
    worker.start()
    try:
        asyncio.run(scenario(worker))
    finally:
        worker.stop()


def test_a_deadline_ends_what_waits_and_what_runs() -> None:
    session = FakeSession(scripted)
    worker = Worker(lambda _: Guard.with_session(session), places=4)

    async def scenario() -> None:
        await worker.ready(time.monotonic() + 20)
        session._seconds = 30.0
        late = [
            asyncio.ensure_future(
                worker.run([prompt(text)], severity, deadline=time.monotonic() + 0.1)
            )
            for text in ("runs", "waits")
        ]
        for each in late:
            with pytest.raises(TimeoutError):
                await each
        session._seconds = 0.0
        assert await worker.run([prompt("a")], severity, deadline=time.monotonic() + 20) == ["Safe"]

    worker.start()
    try:
        asyncio.run(scenario())
    finally:
        worker.stop()


def test_each_text_may_have_a_policy_of_its_own() -> None:
    def flagged(_guard: Guard, verdict: Verdict) -> tuple[str, bool]:
        return verdict.policy, verdict.flagged

    messages = read_messages([{"role": "user", "content": "controversial"}])
    texts = [Text(messages, {"policy": name}) for name in ("loose", "strict", LOOSE)]
    with scripted_worker() as worker:
        found = asyncio.run(_run(worker.run([*texts, Text(messages)], flagged)))
        assert found == [("loose", False), ("strict", True), ("loose", False), ("strict", True)]
        unknown = asyncio.run(_run(worker.run([Text(messages, {"policy": "none"})], flagged)))
        assert isinstance(unknown[0], InputError)
        other = replace(STRICT, name="other", model_sha256="0" * 64)
        wrong = asyncio.run(_run(worker.run([Text(messages, {"policy": other})], flagged)))
        assert isinstance(wrong[0], PolicyError)


def test_how_long_a_text_is() -> None:
    assert Text(read_messages([Message("user", "abc"), Message("assistant", "d")])).characters == 4


def test_where_an_error_came_from_does_not_quote_it() -> None:
    try:
        raise ValueError("the text of a user")
    except ValueError as error:
        said = where(error)
    assert "ValueError" in said
    assert __file__ in said
    assert "the text" not in said
