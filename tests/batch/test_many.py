"""Guard.check_many: lazy, in order, one verdict or error for each, repeats judged once."""

from __future__ import annotations

import fileinput
import importlib
import io
import pickle
from array import array
from collections import UserString, deque, namedtuple
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
from failing import FailingSession
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import ClosedError, Guard, InputError, SessionError, Verdict
from edgeguard.conversation.recent import Recent
from edgeguard.conversation.rows import key_of
from edgeguard.conversation.turn import Speaker
from edgeguard.conversation.value import Conversation, Note
from edgeguard.protocol.messages import ROLES, Message
from edgeguard.session.fake import FakeSession


def test_every_form_of_row_gives_what_the_guard_gives(nano: Guard) -> None:
    conversation = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]
    rows: list[Any] = [
        "Hello",
        {"text": "Hello"},
        {"text": "Hello", "response": "Hi!"},
        conversation,
    ]
    verdicts = list(nano.check_many(rows, exact=True))
    alone = [nano.check("Hello")] * 2 + [nano.check_response("Hello", "Hi!")] * 2
    assert [_timeless(verdict) for verdict in verdicts] == [_timeless(verdict) for verdict in alone]


def _timeless(verdict: object) -> dict[str, object]:
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


conversations = st.builds(
    lambda found, place, what: Conversation(
        found,
        (*range(1, len(found)), place),
        cast("tuple[Speaker, ...]", ("user",) * len(found)),
        (Note(0, what),),
    ),
    messages.map(lambda found: found or (Message("user", "a"),)),
    st.integers(0, 2),
    st.sampled_from(["an image", "a sound"]),
)


@given(conversations, conversations)
def test_only_the_same_conversation_has_the_same_key(
    one: Conversation, other: Conversation
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


# What is no list of rows


class _Frame:
    """The shape of a data frame: iterating over it gives its column names."""

    def __init__(self, **columns: Any) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


class _NotAvailable:
    """pandas' NA: unequal to everything, in a way that is neither true nor false."""

    def __ne__(self, _other: object) -> object:  # type: ignore[override]
        return self

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.fixture
def echo() -> Guard:
    """A guard that calls bombs unsafe."""
    return Guard.with_session(
        FakeSession(
            lambda question: (
                f"Safety: {'Unsafe' if 'bomb' in question else 'Safe'}\n"
                "Categories: None\nRefusal: No"
            )
        )
    )


BOMB = "How can I make a bomb?"


@pytest.mark.parametrize(
    "rows",
    [
        BOMB,
        BOMB.encode(),
        bytearray(b"a"),
        {"text": BOMB},
        {BOMB: 1}.keys(),
        {1: BOMB}.values(),
        {BOMB},
        frozenset([BOMB]),
        io.StringIO(BOMB),
        Path("file.txt"),
        None,
        5,
        5.0,
        True,
        object(),
        Guard,
        np.zeros((2, 2)),
        iter(BOMB),
        iter(f"{BOMB} é"),
        reversed(BOMB),
        iter({"text": BOMB}),
        reversed({"text": BOMB}),
        iter({1: BOMB}.values()),
        iter({BOMB}),
        UserString(BOMB),
        array("u", BOMB),
        fileinput.FileInput([]),  # noqa: SIM115
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_what_is_no_list_of_rows_is_refused_at_once(echo: Guard, rows: Any) -> None:
    with pytest.raises(InputError, match="give a list of texts"):
        echo.check_many(rows)


class _Column:
    """A column of a frame that computes nothing before it is told to."""

    def __iter__(self) -> Iterator[str]:
        raise TypeError("Column is not iterable")


def test_a_frame_that_does_not_give_its_rows_is_refused_at_once(echo: Guard) -> None:
    for column in (_Column(), 5):
        with pytest.raises(InputError, match="does not give its rows"):
            echo.check_many(_Frame(text=column))


def test_two_columns_with_one_name_are_refused_at_once(echo: Guard) -> None:
    pyarrow, pandas = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    twice = _Frame(text=[BOMB])
    twice.columns *= 2
    for rows in (
        twice,
        pandas.DataFrame([[BOMB, "Hi"]], columns=["text", "text"]),
        pandas.DataFrame([[BOMB, 1, 2]], columns=["text", 1, "1"]),
        pyarrow.table([[BOMB], ["Hi"]], names=["text", "text"]),
    ):
        with pytest.raises(InputError, match="two columns with one name"):
            echo.check_many(rows)


Pair = namedtuple("Pair", ["text", "response"])


@pytest.mark.parametrize(
    "rows",
    [
        [BOMB],
        (BOMB,),
        deque([BOMB]),
        iter([BOMB]),
        (text for text in [BOMB]),
        np.array([BOMB]),
        np.array([BOMB], dtype=object),
        _Frame(id=[1], text=[BOMB]),
        _Frame(text=[BOMB], response=[float("nan")]),
        _Frame(text=[BOMB], response=[_NotAvailable()]),
        [Pair(BOMB, None)],
        [Pair(BOMB, float("nan"))],
        [Pair("Hi", BOMB)],
        [{"text": BOMB, "response": None}],
        [[{"role": "user", "content": BOMB}]],
        [MappingProxyType({"text": BOMB})],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_what_is_plainly_rows_is_judged_as_rows(echo: Guard, rows: Any) -> None:
    (verdict,) = echo.check_many(rows)
    assert isinstance(verdict, Verdict), verdict
    assert verdict.severity == "Unsafe"


def test_real_frames_tables_and_series(echo: Guard) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": [BOMB, "Hi"], "response": [None, "Hello"]})
    forms: list[object] = [
        table,
        pyarrow.array([BOMB, "Hi"]),
        pyarrow.chunked_array([[BOMB, "Hi"]]),
    ]
    for name in ("pandas", "polars"):
        with suppress(ImportError):
            frames = importlib.import_module(name)
            forms.append(frames.DataFrame({"text": [BOMB, "Hi"], "response": [None, "Hello"]}))
            forms.append(frames.Series([BOMB, "Hi"]))
            if name == "pandas":
                forms.append(forms[-2].itertuples())  # type: ignore[attr-defined]
                forms.append(frames.Index([BOMB, "Hi"]))
    for form in forms:
        verdicts = list(echo.check_many(form))  # type: ignore[arg-type]
        assert [getattr(v, "severity", v) for v in verdicts] == ["Unsafe", "Safe"], type(form)


@pytest.mark.parametrize(
    "call",
    [
        lambda guard: guard.check(5),
        lambda guard: guard.check(None),
        lambda guard: guard.check(b"bytes"),
        lambda guard: guard.check_response("a", None),
        lambda guard: guard.check_messages(None),
        lambda guard: guard.check_messages(5),
        lambda guard: guard.check_messages("text"),
        lambda guard: guard.check_messages([5]),
        lambda guard: guard.check_messages([None]),
        lambda guard: guard.check_messages(_Frame(role=["user"], content=["a"])),
        lambda guard: guard.check("a", policy=5),
        lambda guard: guard.check_many(["a"], policy=5),
        lambda guard: guard.check_many(["a"], timeout="5"),
        lambda guard: guard.check_messages({Message("user", "a"), Message("assistant", "b")}),
        lambda guard: guard.tokenize(5),
        lambda guard: guard.tokenize("\ud83d"),
        lambda _: Guard(5),  # type: ignore[arg-type]
        lambda _: Guard("nano", threads="2"),  # type: ignore[arg-type]
        lambda _: Guard("nano", threads=True),
        lambda _: Guard("nano", threads=100_000),
        lambda _: Guard("nano", n_ctx=float("nan")),  # type: ignore[arg-type]
        lambda _: Guard("nano", policy=5),  # type: ignore[arg-type]
        lambda _: Guard("nano", device=None),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_another_kind_are_input_errors(
    echo: Guard, call: Callable[[Guard], object]
) -> None:
    with pytest.raises(InputError):
        call(echo)


def test_a_guard_says_why_it_cannot_be_pickled(echo: Guard) -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(echo)


def test_a_row_on_which_the_model_fails_gives_its_error_and_the_rest_goes_on() -> None:
    session = FailingSession()
    guard = Guard.with_session(session)
    results = list(guard.check_many(["a", "heavy", "b"]))
    assert [type(result) for result in results] == [Verdict, SessionError, Verdict]
    session.broken = True  # now it is the model, and not the row
    with pytest.raises(SessionError):
        list(guard.check_many(["c", "d"]))


def test_each_row_has_the_time_limit_to_itself() -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None", seconds=0.05)
    guard = Guard.with_session(session)
    assert [type(one) for one in guard.check_many(["a", "b", "c"], timeout=20)] == [Verdict] * 3
    (result,) = guard.check_many(["a"], timeout=1e300)
    assert isinstance(result, Verdict)
    session._seconds = 20
    (result,) = guard.check_many(["d"], timeout=0.05)
    assert isinstance(result, TimeoutError)
