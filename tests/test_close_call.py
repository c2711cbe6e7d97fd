"""What counts as a close call, and that it is asked alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import Guard, Verdict
from edgeguard.close_call import CLOSE, is_close
from edgeguard.decoder import Decoded
from edgeguard.policy import STRICT, Policy
from edgeguard.protocol.answer import Answer
from edgeguard.protocol.names import CATEGORIES
from edgeguard.session.fake import FakeSession
from edgeguard.verdict import Choice

SAFE = Answer("Safe", (), None)


def decoded(*shares: float, then: tuple[tuple[bytes, float], ...] = ()) -> Decoded:
    first = Choice(2, tuple(zip((b" Safe", b" Unsafe", b" Cont"), shares)))
    choices = (first, Choice(5, then)) if then else (first,)
    return Decoded(SAFE, shares, choices)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_lead_of_the_likeliest_decides(one: float, other: float) -> None:
    rest = max(0.0, 1 - one - other)
    high, low = sorted((one, other, rest), reverse=True)[:2]
    assert is_close(decoded(one, other, rest), STRICT) == (high - low < CLOSE)


def test_a_later_decision_counts_too() -> None:
    assert is_close(decoded(0.9, 0.1, 0.0, then=((b" Violent", 0.5), (b" PII", 0.49))), STRICT)
    assert not is_close(decoded(0.9, 0.1, 0.0, then=((b" Violent", 0.6), (b" PII", 0.4))), STRICT)


def test_tokens_that_end_an_answer_are_one() -> None:
    ends = ((b"", 0.49), (b"", 0.48), (b", ", 0.03))
    assert not is_close(decoded(0.9, 0.1, 0.0, then=ends), STRICT)


def test_a_policys_limits_count() -> None:
    policy = Policy("mine", ("Unsafe",), threshold=0.3)
    assert is_close(decoded(0.69, 0.31, 0.0), policy)
    assert not is_close(decoded(0.9, 0.1, 0.0), policy)
    of_category = Policy("mine", ("Unsafe",), categories=((CATEGORIES[0], 0.1),))
    answer = decoded(0.89, 0.11, 0.0)
    assert is_close(answer, of_category)


@pytest.mark.parametrize(("confidence", "alone"), [(0.01, True), (10.0, False)])
def test_a_close_call_is_asked_again_alone(
    monkeypatch: pytest.MonkeyPatch, confidence: float, alone: bool
) -> None:
    monkeypatch.setattr("edgeguard.together.LONGEST", 8192)  # a fake's tokens are bytes
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None", confidence=confidence)
    with Guard.with_session(session, allow_random_weights=True) as guard:
        (verdict,) = guard.check_many(["tea"], exact=False)
    assert isinstance(verdict, Verdict)
    assert session.sequences(()).passes
    assert bool(session.reads) is alone
