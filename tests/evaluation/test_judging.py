"""Rows that the model fails on are listed; a model that fails its self-test ends the run."""

from __future__ import annotations

import pytest
from failing import FailingSession

from edgeguard import Guard
from edgeguard.errors import InputTooLongError, OutputError, SessionError
from edgeguard.evaluation.judging import Outcome, judge
from edgeguard.evaluation.rows import Row
from edgeguard.evaluation.worker import _failure
from edgeguard.protocol.messages import Message
from edgeguard.self_test import self_test


def row(text: str) -> Row:
    return Row("mine", text, (Message("user", text),), "Safe", (), None, "en")


def outcome(guard: Guard, *texts: str) -> Outcome:
    rows = [row(text) for text in texts]
    return judge(rows, lambda one: guard.check_messages(one.messages), lambda: self_test(guard))


def test_a_row_on_which_the_model_fails_is_listed() -> None:
    found = outcome(Guard.with_session(FailingSession()), "a", "heavy", "b", "")
    assert [one.row.id for one in found.judged] == ["a", "b"]
    assert [one.id for one in found.failed] == ["heavy", ""]


def test_a_broken_model_ends_the_run() -> None:
    session = FailingSession()
    guard = Guard.with_session(session)
    session.broken = True
    with pytest.raises(SessionError):
        outcome(guard, "a", "b")


def test_records_that_cannot_be_written_end_the_run() -> None:
    def check(_row: Row) -> None:
        raise OutputError("the disk is full")

    with pytest.raises(OutputError):
        judge([row("a")], check, lambda: None)  # type: ignore[arg-type]


def test_a_worker_tells_a_broken_model_from_a_row() -> None:
    session = FailingSession()
    guard = Guard.with_session(session)
    for error in (SessionError("no memory"), InputTooLongError("90 windows")):
        assert _failure(guard, error) == {"error": str(error)}
    session.broken = True
    assert _failure(guard, SessionError("once")) == {"broken": "llama.cpp could not compute"}
