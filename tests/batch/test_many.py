"""Guard.check_many: lazy, in order, one verdict or error for each, repeats judged once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import ClosedError, Guard, InputError, Verdict
from edgeguard.batch.recent import Recent
from edgeguard.batch.rows import key_of
from edgeguard.protocol.messages import ROLES, Message
from edgeguard.session.fake import FakeSession


def test_every_form_of_row_gives_what_the_guard_gives(nano: Guard) -> None:
    conversation = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]
    rows = ["Hello", {"text": "Hello"}, {"text": "Hello", "response": "Hi!"}, conversation]
    verdicts = list(nano.check_many(rows))
    alone = [nano.check("Hello")] * 2 + [nano.check_response("Hello", "Hi!")] * 2
    assert [_timeless(verdict) for verdict in verdicts] == [_timeless(verdict) for verdict in alone]


def _timeless(verdict: Verdict | InputError) -> dict[str, object]:
    assert isinstance(verdict, Verdict)
    return {**verdict.to_dict(), "seconds": 0}


def test_a_bad_row_gives_its_error_and_the_rest_goes_on(nano: Guard) -> None:
    bad = ["\ud83d", {"prompt": "a"}, {"text": 3}, {"text": " "}, [], 7, None, b"bytes"]
    results = list(nano.check_many(["Hello", *bad, "Hello"]))  # type: ignore[list-item]
    assert [isinstance(result, InputError) for result in results] == [False, *[True] * 8, False]
    assert results[0] is results[-1]


def test_nothing_is_read_before_it_is_asked_for(nano: Guard) -> None:
    read: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(10):
            read.append(number)
            yield f"text {number}"

    verdicts = nano.check_many(texts())
    assert read == []
    next(verdicts)
    assert read == [0]


def test_the_policy_is_checked_at_once_and_used(nano: Guard) -> None:
    with pytest.raises(InputError, match="there are: strict, loose"):
        nano.check_many([], policy="lenient")
    (verdict,) = nano.check_many(["Hello"], policy="loose")
    assert isinstance(verdict, Verdict)
    assert verdict.policy == "loose"


def test_a_guard_that_is_closed_is_no_bad_row() -> None:
    guard = Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None"))
    verdicts = guard.check_many(["a", "b"])
    next(verdicts)
    guard.close()
    with pytest.raises(ClosedError):
        next(verdicts)


messages = st.lists(
    st.builds(Message, st.sampled_from(ROLES), st.sampled_from(["", "a", "b", "ab", '"', "ü"])),
    max_size=2,
).map(tuple)


@given(messages, messages)
def test_only_the_same_conversation_has_the_same_key(
    one: tuple[Message, ...], other: tuple[Message, ...]
) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(st.lists(st.tuples(st.binary(max_size=1), st.integers()), max_size=50), st.integers(1, 5))
def test_recent_values_are_right_and_not_too_many(
    pairs: list[tuple[bytes, int]], size: int
) -> None:
    recent: Recent[int] = Recent(size)
    last: dict[bytes, int] = {}
    for key, value in pairs:
        assert recent.get(key) in (None, last.get(key))
        recent.put(key, value)
        last[key] = value
        assert recent.get(key) == value
        assert sum(recent.get(other) is not None for other in last) <= size
