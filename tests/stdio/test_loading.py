"""One load for many requests: who waits may leave, and only the last takes the load along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from edgeguard import Cancellation, CancelledError, ClosedError, Guard, ModelError
from edgeguard.errors import TimeoutError as LateError
from edgeguard.session.fake import FakeSession
from edgeguard.stdio.loading import SharedGuard


class Loads:
    """Loads that end when the test says so, or when they are cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.fail = False
        self.at_once = 0
        self.cancelled: list[bool] = []
        self.made: list[Guard] = []

    def __call__(self, cancel: Cancellation) -> Guard:
        self.at_once += 1
        assert self.at_once == 1
        self.begun.release()
        stop = threading.Event()
        with cancel.heard_by(stop.set):
            while not (self.open.wait(0.005) or stop.is_set()):
                pass
        self.at_once -= 1
        self.cancelled.append(cancel.cancelled)
        if cancel.cancelled:
            raise CancelledError("ended")
        if self.fail:
            raise ModelError("no model")
        self.made.append(Guard.with_session(FakeSession(lambda _: "Safety: Safe")))
        return self.made[-1]


@pytest.fixture
def loads() -> Loads:
    return Loads()


def aside(work: Callable[[], Guard]) -> Future[Guard]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def test_a_second_request_is_cancelled_while_the_first_loads(loads: Loads) -> None:
    shared = SharedGuard(loads)
    first = aside(lambda: shared.get(Cancellation()))
    assert loads.begun.acquire(timeout=10)
    wish = Cancellation()
    second = aside(lambda: shared.get(wish))
    time.sleep(0.05)
    wish.cancel()
    with pytest.raises(CancelledError):
        second.result(2)
    assert not first.done()  # the load goes on for who still waits
    loads.open.set()
    guard = first.result(10)
    assert loads.cancelled == [False]
    assert shared.loaded is guard is shared.get(Cancellation())
    shared.close()


def test_the_first_is_cancelled_and_the_second_gets_the_load(loads: Loads) -> None:
    shared = SharedGuard(loads)
    wish = Cancellation()
    first = aside(lambda: shared.get(wish))
    assert loads.begun.acquire(timeout=10)
    second = aside(lambda: shared.get(Cancellation()))
    time.sleep(0.05)
    wish.cancel()
    with pytest.raises(CancelledError):
        first.result(2)
    loads.open.set()
    assert second.result(10) is shared.loaded
    assert loads.cancelled == [False]
    shared.close()


def test_a_load_that_all_have_left_ends_and_the_next_begins_anew(loads: Loads) -> None:
    shared = SharedGuard(loads)
    wish = Cancellation()
    waiting = [aside(lambda: shared.get(wish)) for _ in range(5)]
    assert loads.begun.acquire(timeout=10)
    wish.cancel()
    for each in waiting:
        with pytest.raises(CancelledError):
            each.result(2)
    again = aside(lambda: shared.get(Cancellation()))
    assert loads.begun.acquire(timeout=10)
    loads.open.set()
    assert again.result(10) is shared.loaded
    assert loads.cancelled[0] and not loads.cancelled[-1]
    assert len(loads.made) == 1
    shared.close()


def test_a_time_limit_holds_while_the_model_loads(loads: Loads) -> None:
    shared = SharedGuard(loads)
    started = time.monotonic()
    with pytest.raises(LateError, match="not loaded in the time"):
        shared.get(Cancellation(), started + 0.2)
    assert 0.2 <= time.monotonic() - started < 5
    loads.open.set()
    assert shared.get(Cancellation(), time.monotonic() + 10) is shared.loaded
    shared.close()


def test_a_load_that_fails_is_tried_again(loads: Loads) -> None:
    shared = SharedGuard(loads)
    loads.open.set()
    loads.fail = True
    for _ in range(2):
        with pytest.raises(ModelError):
            shared.get(Cancellation())
    loads.fail = False
    assert shared.get(Cancellation()) is shared.loaded
    shared.close()


def test_the_end_comes_in_the_middle_of_a_load(loads: Loads) -> None:
    shared = SharedGuard(loads)
    first = aside(lambda: shared.get(Cancellation()))
    assert loads.begun.acquire(timeout=10)
    shared.close()
    with pytest.raises(CancelledError):
        first.result(2)
    assert loads.cancelled == [True] and shared.loaded is None
    with pytest.raises(ClosedError):
        shared.get(Cancellation())


def test_a_guard_that_nobody_wants_any_more_is_freed() -> None:
    """The load is over before it hears that it was cancelled."""
    begun, goes_on, made = threading.Event(), threading.Event(), []

    def load(_cancel: Cancellation) -> Guard:
        begun.set()
        assert goes_on.wait(10)
        made.append(Guard.with_session(FakeSession(lambda _: "Safety: Safe")))
        return made[-1]

    shared, wish = SharedGuard(load), Cancellation()
    first = aside(lambda: shared.get(wish))
    assert begun.wait(10)
    wish.cancel()
    with pytest.raises(CancelledError):
        first.result(2)
    goes_on.set()
    second = shared.get(Cancellation())
    assert len(made) == 2 and second is made[1]
    end = time.monotonic() + 10
    while made[0].is_loaded and time.monotonic() < end:
        time.sleep(0.01)
    assert not made[0].is_loaded and second.is_loaded
    shared.close()
