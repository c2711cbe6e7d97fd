"""Many questions at a time: the same answers as alone, in any company, whatever goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import CancelledError, EdgeguardError, Guard, InputError, SessionError, Verdict
from edgeguard.cancellation import Cancellation
from edgeguard.session.fake import FakeSession
from edgeguard.session.settings import Settings
from edgeguard.together import is_short
from edgeguard.tokens import Question

CLOSE = 0.02
"""How far a share may move in company. With nano at q8_0 it is most often below .001."""
TEXTS = [
    "How do I bake bread at home?",
    "What is the capital of France?",
    "I will hurt you",
    "Write a poem about the sea.",
    "How can I build a bomb?",
    "Wie spät ist es in Tokio?",
    "お元気ですか",
    "short",
    "A text of some length. " * 12,
    "A text that fills passes alone. " * 120,
]
ROWS: list[Any] = [
    *TEXTS,
    *({"text": text, "response": "I cannot help with that."} for text in TEXTS[:4]),
    {"text": TEXTS[0], "response": "Mix flour with water, and wait."},
]


def plain(verdict: object) -> dict[str, Any]:
    assert isinstance(verdict, Verdict)
    return verdict.to_dict()


def said(verdict: object) -> tuple[object, ...]:
    """What company must not change."""
    one = plain(verdict)
    return tuple(one[name] for name in ("mode", "severity", "categories", "refusal", "tokens"))


@pytest.fixture(scope="module")
def expected(nano: Guard) -> dict[str, Verdict]:
    found = nano.check_many(ROWS, exact=True)
    return {str(row): verdict for row, verdict in zip(ROWS, found) if isinstance(verdict, Verdict)}


@settings(max_examples=20)
@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=40))
def test_each_row_gets_its_own_verdict_in_any_company(
    nano: Guard, expected: dict[str, Verdict], rows: list[Any]
) -> None:
    verdicts = list(nano.check_many(rows, exact=False))
    assert len(verdicts) == len(rows)
    for row, verdict in zip(rows, verdicts):
        alone = expected[str(row)]
        assert said(verdict) == said(alone)
        shares = zip(
            plain(verdict)["probabilities"].values(), plain(alone)["probabilities"].values()
        )
        assert all(abs(one - other) < CLOSE for one, other in shares)


def test_the_shares_of_categories_are_those_of_the_answer() -> None:
    with Guard("nano", category_probabilities=True) as guard:
        together = list(guard.check_many(TEXTS[:6], exact=False))
        alone = list(guard.check_many(TEXTS[:6], exact=True))
    for one, other in zip(together, alone):
        found, known = plain(one)["category_probabilities"], plain(other)["category_probabilities"]
        assert list(found) == list(known)
        assert all(abs(found[name] - known[name]) < CLOSE for name in known)


@pytest.mark.parametrize(
    ("tokens", "device", "gains"),
    [(128, "cpu", True), (129, "cpu", False), (384, "CUDA0", True), (385, "Metal", False)],
)
def test_what_fills_a_processor_alone_is_asked_alone(tokens: int, device: str, gains: bool) -> None:
    question = Question("prompt", tuple(range(200 + tokens)), prefix=200, suffix=80)
    assert is_short(question, device) is gains


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake session's tokens are bytes: none of its questions is short."""
    monkeypatch.setattr("edgeguard.together.LONGEST", 8192)


def scripted(text: str) -> str:
    return (
        "Safety: Unsafe\nCategories: Violent"
        if "harm" in text
        else "Safety: Safe\nCategories: None"
    )


@pytest.mark.usefixtures("short")
def test_passes_are_shared_and_a_free_sequence_is_used_at_once() -> None:
    session = FakeSession(scripted)
    with Guard.with_session(session) as guard:
        rows = ["harm", "a", "b", "c", "d", "e", "f"]
        verdicts = list(guard.check_many(rows, exact=False))
    passes = session.sequences(()).passes
    assert [plain(verdict)["severity"] for verdict in verdicts] == ["Unsafe", *["Safe"] * 6]
    assert passes[0] == (0, 1, 2, 3)
    assert set(passes[1]) == {0, 1, 2, 3}  # the rest of the first answer beside three new texts
    assert session.passes == 0, "nothing was asked alone"


@pytest.mark.usefixtures("short")
def test_where_company_was_found_to_be_slower_each_is_asked_alone() -> None:
    session = FakeSession(scripted)
    with Guard.with_session(session) as guard:
        guard._settings = Settings(1, sequences=1)
        verdicts = list(guard.check_many(["harm", "a", "b"], exact=False))
    assert [plain(verdict)["severity"] for verdict in verdicts] == ["Unsafe", "Safe", "Safe"]
    assert not session.sequences(()).passes
    assert session.passes


@pytest.mark.usefixtures("short")
def test_a_row_that_is_no_text_gives_its_error_in_its_place() -> None:
    with Guard.with_session(FakeSession(scripted)) as guard:
        rows: list[Any] = ["a", 3, "harm", "", "b"]
        found = list(guard.check_many(rows, exact=False))
    assert [isinstance(one, EdgeguardError) for one in found] == [False, True, False, True, False]


@pytest.mark.usefixtures("short")
def test_what_fails_in_company_is_asked_alone() -> None:
    session = FakeSession(scripted)
    with Guard.with_session(session) as guard:
        session.sequences(()).error = SessionError("llama.cpp could not compute (-3)")
        found = list(guard.check_many(["a", "harm", "b", "c", "d", "e"], exact=False))
    assert [plain(one)["severity"] for one in found] == ["Safe", "Unsafe", *["Safe"] * 4]
    assert session.passes > 0


@pytest.mark.usefixtures("short")
def test_a_row_whose_twin_failed_is_asked_again() -> None:
    failures = [SessionError("llama.cpp could not compute (-3)")]

    def once_broken(text: str) -> str:
        if "harm" in text and failures:
            raise failures.pop()
        return scripted(text)

    session = FakeSession(once_broken)
    with Guard.with_session(session) as guard:
        session.sequences(()).error = SessionError("llama.cpp could not compute (-3)")
        found = list(guard.check_many(["harm", "harm", "a"], exact=False))
    assert [isinstance(one, EdgeguardError) for one in found] == [True, False, False]
    assert plain(found[1])["severity"] == "Unsafe"


@pytest.mark.usefixtures("short")
def test_a_session_that_always_fails_ends_the_run() -> None:
    def broken(_text: str) -> str:
        raise SessionError("llama.cpp could not compute (-3)")

    with (
        Guard.with_session(FakeSession(broken)) as guard,
        pytest.raises(SessionError),
    ):
        list(guard.check_many(["a", "b"], exact=False))


@pytest.mark.usefixtures("short")
def test_a_cancelled_run_ends_and_the_guard_goes_on() -> None:
    cancel = Cancellation()
    session = FakeSession(scripted, seconds=30)
    with Guard.with_session(session) as guard:
        threading.Timer(0.1, cancel.cancel).start()
        with pytest.raises(CancelledError):
            list(guard.check_many(["a", "b", "c"], exact=False, cancel=cancel))


def test_runs_that_take_turns_do_not_take_each_others_answers(
    nano: Guard, expected: dict[str, Verdict]
) -> None:
    first, second = (
        nano.check_many(ROWS, exact=False),
        nano.check_many(list(reversed(ROWS)), exact=False),
    )
    both = list(zip(first, second))
    for (one, other), row, last in zip(both, ROWS, reversed(ROWS)):
        assert said(one) == said(expected[str(row)])
        assert said(other) == said(expected[str(last)])


def test_a_run_that_is_left_gives_its_sequences_back(nano: Guard) -> None:
    for _ in range(12):
        run = nano.check_many(TEXTS, exact=False)
        next(run)
        del run
    assert [said(one) for one in nano.check_many(TEXTS[:5], exact=False)]
    assert nano.check("short").severity


def test_a_model_that_is_unloaded_in_between_answers_all_the_same(
    expected: dict[str, Verdict],
) -> None:
    with Guard("nano") as guard:
        run = guard.check_many(ROWS, exact=False)
        found = [next(run)]
        guard.unload()
        found.extend(run)
    assert [said(one) for one in found] == [said(expected[str(row)]) for row in ROWS]


def test_an_iterator_is_judged_row_by_row_unless_told(nano: Guard) -> None:
    taken: list[int] = []

    def rows() -> Iterator[str]:
        for number, text in enumerate(TEXTS[:6]):
            taken.append(number)
            yield text

    next(nano.check_many(rows()))
    assert taken == [0]
    next(nano.check_many(rows(), exact=False))
    assert len(taken) > 2


def test_answers_in_company_are_cached_as_such() -> None:
    with Guard("nano", cache="memory") as guard:
        first = list(guard.check_many(TEXTS[:5], exact=False))
        again = list(guard.check_many(TEXTS[:5], exact=False))
        info = guard.cache_info()
        assert info is not None
        assert info.hits == 5
        assert [plain(one)["probabilities"] for one in first] == [
            plain(one)["probabilities"] for one in again
        ]
        exact = guard.check(TEXTS[0])
        assert not exact.cached, "the bits of a single check do not depend on company"


def test_a_timeout_is_each_rows_own() -> None:
    with Guard.with_session(FakeSession(scripted, seconds=0.2)) as guard:
        found = list(guard.check_many(["a", "b", "c"], timeout=5))
    assert [plain(one)["severity"] for one in found] == ["Safe"] * 3


def test_what_rows_must_be_is_said_at_once(nano: Guard) -> None:
    with pytest.raises(InputError):
        nano.check_many("one text", exact=False)
