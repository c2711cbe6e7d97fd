"""Requests that wait share passes: each still gets its own verdict, whatever its neighbours do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from served import scripted
from workers import prompt, working

from edgeguard import EdgeguardError, Guard, SessionError
from edgeguard.conversation import read_messages
from edgeguard.errors import InputTooLongError
from edgeguard.policy import LOOSE
from edgeguard.protocol.messages import Message
from edgeguard.session.fake import FakeSession
from edgeguard.verdict import Verdict
from edgeguard.worker.job import Text
from edgeguard.worker.queue import NotReadyError
from edgeguard.worker.worker import Worker


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake's tokens are bytes: of its questions, those below so many are short."""
    monkeypatch.setattr("edgeguard.together.LONGEST", 900)


class Gate(FakeSession):
    """A fake whose single questions wait until the gate is open, so that requests pile up."""

    def __init__(self, company_seconds: float = 0.01) -> None:
        """``company_seconds``: how long a common pass takes."""
        super().__init__(scripted, seconds=company_seconds)
        self.open = threading.Event()
        self.open.set()
        self._alone = False

    def read(self, *args: Any, **how: Any) -> Any:
        self.open.wait(20)
        self._alone = True
        try:
            return super().read(*args, **how)
        finally:
            self._alone = False

    def take_time(self) -> None:
        if not self._alone:
            super().take_time()


def whole(_guard: Guard, verdict: Verdict) -> Verdict:
    return verdict


def ask(worker: Worker, text: str, **options: Any) -> Awaitable[list[Verdict | EdgeguardError]]:
    return worker.run([prompt(text, **options)], whole)


def severities(found: list[list[Verdict | EdgeguardError]]) -> list[str]:
    return [one.severity if isinstance(one, Verdict) else str(one) for (one,) in found]


async def piled_up(
    worker: Worker, session: Gate, asked: Callable[[], list[Awaitable[Any]]]
) -> list[Any]:
    """Results of what is asked while a first question is held."""
    session.open.clear()
    first = asyncio.ensure_future(ask(worker, "first"))
    while worker.depth or worker.queue.in_flight[0] == 0:
        await asyncio.sleep(0.005)
    work = [asyncio.ensure_future(one) for one in asked()]
    while worker.depth < len(work):
        await asyncio.sleep(0.005)
    session.open.set()
    await first
    return await asyncio.gather(*work, return_exceptions=True)


def test_those_that_wait_are_computed_together_and_each_gets_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = Gate()
    texts = ["unsafe a", "b", "controversial c", "d", "unsafe e", "f"]
    with working(session, together=True) as worker:
        asked = lambda: [ask(worker, text) for text in texts]  # noqa: E731
        alone, learned = len(session.reads), list[int]()
        monkeypatch.setattr(worker.queue, "learn", lambda tokens, _seconds: learned.append(tokens))
        found = asyncio.run(piled_up(worker, session, asked))
    assert severities(found) == ["Unsafe", "Safe", "Controversial", "Safe", "Unsafe", "Safe"]
    assert len(session.reads) == alone + 1, "only the first was asked alone"
    assert len(session.sequences(()).passes[0]) == 4  # as many as a fake has sequences
    assert sum(tokens > 0 for tokens in learned) == 2, "an answer that is there tells no speed"
    assert all(one.seconds > 0 for (one,) in found)


def test_one_text_at_a_time_where_nobody_waits() -> None:
    session = Gate()
    with working(session, together=True) as worker:
        asyncio.run(_run(ask(worker, "a")))
    assert not session.sequences(()).passes


def test_one_text_at_a_time_where_tune_found_company_to_be_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeguard.worker.company.most_of", lambda _guard: 1)
    session = Gate()
    with working(session, together=True) as worker:
        asked = lambda: [ask(worker, text) for text in ("unsafe a", "b", "c")]  # noqa: E731
        found = asyncio.run(piled_up(worker, session, asked))
    assert severities(found) == ["Unsafe", "Safe", "Safe"]
    assert not session.sequences(()).passes


def test_the_texts_of_one_request_share_passes_and_keep_their_order() -> None:
    session = Gate()
    texts = [
        "unsafe a",
        "b",
        "",
        "controversial c",
        "x" * 1500,
        *(f"d {n}" for n in range(9)),
        "unsafe",
    ]
    with working(session, together=True) as worker:
        alone = len(session.reads)
        conversations = [read_messages([Message("user", text or "?")]) for text in texts]
        asked = [
            Text(one, {"policy": "none"} if not text else {})
            for one, text in zip(conversations, texts)
        ]
        found = asyncio.run(_run(worker.run(asked, whole)))
    assert [one.severity if isinstance(one, Verdict) else "none" for one in found] == [
        *("Unsafe", "Safe", "none", "Controversial", "Safe"),
        *["Safe"] * 9,
        "Unsafe",
    ]
    assert len(session.reads) < alone + 6
    assert worker.queue.in_flight == (0, 0)


async def _run(work: Awaitable[Any]) -> Any:
    return await work


def test_a_text_in_company_keeps_its_policy_and_its_options() -> None:
    session = Gate()
    with working(session, together=True) as worker:
        asked = lambda: [  # noqa: E731
            ask(worker, "controversial a"),
            ask(worker, "controversial a", policy=LOOSE),
            ask(worker, "unsafe b", category_probabilities=True),
            ask(worker, "unsafe b"),
        ]
        found = [one for (one,) in asyncio.run(piled_up(worker, session, asked))]
    assert [one.flagged for one in found] == [True, False, True, True]
    assert found[2].category_probabilities is not None
    assert session.sequences(()).passes


def test_a_text_that_is_too_long_is_refused_and_the_others_are_not() -> None:
    session = Gate()
    with working(session, together=True, max_tokens=2200) as worker:
        asked = lambda: [ask(worker, "a"), ask(worker, "x" * 2000), ask(worker, "b")]  # noqa: E731
        found = [one for (one,) in asyncio.run(piled_up(worker, session, asked))]
    assert [type(one) for one in found] == [Verdict, InputTooLongError, Verdict]


def test_a_close_call_is_in_company_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeguard.ahead.is_close", lambda *_: True)
    session = Gate()
    with working(session, together=True) as worker:
        alone = len(session.reads)
        asked = lambda: [ask(worker, text) for text in ("a", "unsafe b", "c")]  # noqa: E731
        found = asyncio.run(piled_up(worker, session, asked))
    assert severities(found) == ["Safe", "Unsafe", "Safe"]
    assert session.sequences(()).passes[0] == (0, 1, 2)
    read = [numbers for numbers in session.sequences(()).passes if len(numbers) == 3]
    assert len(read) == 1, "all were asked once together"
    assert len(session.reads) == alone + 4, "and once alone"


@pytest.mark.parametrize("error", [SessionError("llama.cpp could not compute (-3)")])
def test_what_fails_in_company_is_asked_alone(error: EdgeguardError) -> None:
    session = Gate()
    with working(session, together=True) as worker:
        session.sequences(()).error = error
        asked = lambda: [ask(worker, "a"), ask(worker, "unsafe b")]  # noqa: E731
        found = asyncio.run(piled_up(worker, session, asked))
        assert worker.state == "ready"
    assert severities(found) == ["Safe", "Unsafe"]


def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    session = Gate(company_seconds=0.2)

    async def leave_one(worker: Worker) -> list[Any]:
        session.open.clear()
        first = asyncio.ensure_future(ask(worker, "first"))
        while worker.depth or worker.queue.in_flight[0] == 0:
            await asyncio.sleep(0.005)
        work = [asyncio.ensure_future(ask(worker, text)) for text in ("a", "unsafe b", "c")]
        while worker.depth < 3:
            await asyncio.sleep(0.005)
        session.open.set()
        await first
        while not session.sequences(()).passes:
            await asyncio.sleep(0.005)
        work[1].cancel()  # in the middle of the common pass
        return await asyncio.gather(*work, return_exceptions=True)

    with working(session, together=True) as worker:
        one, left, other = asyncio.run(leave_one(worker))
        assert worker.state == "ready"
    assert severities([one, other]) == ["Safe", "Safe"]
    assert isinstance(left, asyncio.CancelledError)


def test_a_common_pass_ends_when_all_have_left() -> None:
    session = Gate(company_seconds=30.0)

    async def leave_all(worker: Worker) -> float:
        work = [asyncio.ensure_future(ask(worker, f"{n}")) for n in range(3)]
        session.open.set()
        while not session.sequences(()).passes:
            await asyncio.sleep(0.005)
        left = time.monotonic()
        for one in work:
            one.cancel()
        while worker.queue.in_flight != (0, 0):
            await asyncio.sleep(0.005)
        return time.monotonic() - left

    with working(session, together=True) as worker:
        session.open.clear()
        assert asyncio.run(leave_all(worker)) < 10
        assert worker.state == "ready"


def test_stopping_ends_the_common_pass() -> None:
    session = Gate(company_seconds=30.0)

    async def stop(worker: Worker) -> list[Any]:
        asked = lambda: [ask(worker, text) for text in ("a", "b", "c")]  # noqa: E731
        piled = asyncio.ensure_future(piled_up(worker, session, asked))
        while not session.sequences(()).passes:
            await asyncio.sleep(0.005)
        worker.stop(abort=True)
        return await piled

    with working(session, together=True) as worker:
        found = asyncio.run(stop(worker))
    assert all(isinstance(one, NotReadyError) for one in found)
