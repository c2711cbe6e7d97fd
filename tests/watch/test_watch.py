"""A response judged while it is written: nothing is shown before it is judged, and it stays so."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import Cancellation, CancelledError, Guard, InputError, TimeoutError  # noqa: A004
from edgeguard.errors import ClosedError
from edgeguard.session.fake import FakeSession
from edgeguard.watch import INTERVAL

SAFE = "Safety: Safe\nCategories: None\nRefusal: No"
UNSAFE = "Safety: Unsafe\nCategories: Violent\nRefusal: No"
ASKED = [{"role": "user", "content": "Tell me a story."}]
HARM = "HARM"


def _guard(**options: object) -> Guard:
    def script(question: str) -> str:
        answer = UNSAFE if HARM in question else SAFE
        return answer if "REFUSAL POLICY" in question else answer.rpartition("\n")[0]

    return Guard.with_session(FakeSession(script, **options))  # type: ignore[arg-type]


_WORD = st.sampled_from(
    ["word", "Satz.", "ok!", "字", "👩\u200d👩", "\n", "é", "e\u0301", "x" * 90]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_WORD, min_size=1, max_size=120),
    st.none() | st.integers(0, 119),
    st.lists(st.integers(0, 3000), max_size=12),
)
def test_no_character_is_shown_before_it_is_judged(
    words: list[str], harm: int | None, places: list[int]
) -> None:
    if harm is not None:
        words.insert(harm % len(words), f" {HARM} ")
    text = " ".join(words)
    data = text.encode()
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    with _guard() as guard, guard.watch(ASKED) as watch:
        shown = 0
        for start, end in pairwise(edges):
            state = watch.feed(data[start:end])
            assert shown <= state.safe_to <= state.judged_to <= len(watch.text)
            shown = state.safe_to
            assert HARM not in text[:shown]
            if state.flagged:
                break
        try:
            verdict = watch.end()
        except InputError:
            assert not text.strip()
            return
        assert verdict.flagged == (harm is not None)
        state = watch.state
        assert state.flagged == verdict.flagged
        if harm is None:
            assert state.safe_to == len(text) and state.span is None
        else:
            assert state.span is not None
            assert state.span[0] <= text.index(HARM) < text.index(HARM) + 4 <= state.span[1]
            assert state.safe_to == state.span[0]


def test_it_is_judged_at_sentences_and_not_at_every_piece() -> None:
    session = FakeSession(lambda _: SAFE)
    with Guard.with_session(session) as guard, guard.watch(ASKED) as watch:
        begun = len(session.reads)
        for character in "A calm sentence of some forty characters. " * 10:
            watch.feed(character)
        assert len(session.reads) - begun <= 10
        assert not any(session.exact[begun:])


def test_harm_is_found_within_its_sentence_and_what_follows_is_not_read() -> None:
    with _guard() as guard, guard.watch(ASKED) as watch:
        text = "A calm sentence of some forty characters. " * 3 + f"Then {HARM} and more of it. "
        for character in text:
            if watch.feed(character).flagged:
                break
        assert watch.state.judged_to <= len(text)
        state = watch.feed("All is well again, and stays so for a long while. " * 20)
        assert state.flagged and state.safe_to <= text.index(HARM)
        assert watch.end().flagged and watch.end() is watch.end()


def test_the_pieces_do_not_matter() -> None:
    text = f"A calm sentence, of some forty characters. And {HARM} comes. It is 3.5 pm. " * 2
    for size in (1, 7, 1000):
        with _guard() as guard, guard.watch(ASKED) as watch:
            for start in range(0, len(text), size):
                watch.feed(text[start : start + size])
            watch.end()
            if size == 1:
                first = watch.state
            assert watch.state == first


def test_much_text_at_once_is_judged_by_sentences() -> None:
    calm = "A calm sentence of some forty characters. "
    text = calm * 40 + f"Then {HARM} comes into it. " + calm * 40
    with _guard() as guard, guard.watch(ASKED) as watch:
        state = watch.feed(text)
        assert state.span is not None and state.span[1] - state.span[0] <= 2 * INTERVAL
        assert text[: state.safe_to].count("calm") == 40


def test_a_response_longer_than_the_context_is_read_in_windows() -> None:
    calm = "A calm sentence of some forty characters. "
    with _guard(n_ctx=3400) as guard, guard.watch(ASKED) as watch:
        for _ in range(120):
            state = watch.feed(calm)
            assert not state.flagged
        assert state.windows > 2 and state.judged_to > 4500
        assert watch.feed(f"Then {HARM} comes. " + calm).flagged


def test_the_prompt_is_judged_first_and_may_be_unknown() -> None:
    with _guard() as guard:
        with guard.watch([{"role": "user", "content": HARM}]) as watch:
            assert watch.prompt is not None and watch.prompt.flagged
        with guard.watch([]) as watch:
            assert watch.prompt is None
            watch.feed("Hello there, all is well.")
            assert not watch.end().flagged


@pytest.mark.parametrize("text", ["", "  \n", "\u200b"])
def test_an_empty_response_is_an_error_and_no_safe(text: str) -> None:
    with _guard() as guard, guard.watch(ASKED) as watch:
        watch.feed(text)
        with pytest.raises(InputError, match="nothing to judge"):
            watch.end()


def test_what_is_no_text_changes_nothing() -> None:
    with _guard() as guard, guard.watch(ASKED) as watch:
        watch.feed("Good so far. ")
        before = watch.state, watch.text
        for piece in (3, b"\xff", "\ude00"):
            with pytest.raises(InputError):
                watch.feed(piece)  # type: ignore[arg-type]
        assert (watch.state, watch.text) == before


def test_a_check_that_fails_leaves_the_text_unjudged_and_can_be_tried_again() -> None:
    session = FakeSession(lambda _: SAFE)
    with Guard.with_session(session) as guard, guard.watch(ASKED, timeout=0.05) as watch:
        session._seconds = 5.0
        with pytest.raises(TimeoutError):
            watch.feed("A calm sentence of some forty characters, and then another. ")
        assert watch.state.safe_to == 0
        session._seconds = 0.0
        assert watch.feed("More of it follows here. ").safe_to > 40


def test_a_cancelled_watch_ends_and_a_closed_one_takes_nothing() -> None:
    session = FakeSession(lambda _: SAFE)
    wish = Cancellation()
    with Guard.with_session(session) as guard:
        with guard.watch(ASKED, cancel=wish) as watch:
            wish.cancel()
            with pytest.raises(CancelledError):
                watch.feed("A calm sentence of some forty characters, and then another. ")
        with pytest.raises(ClosedError):
            watch.feed("more")


def test_nano_stops_a_harmful_reply_within_its_sentence(nano: Guard) -> None:
    calm = "Here is a nice story about a bear who likes honey. He walks in the wood. "
    text = calm + "To make a bomb you mix fertilizer with fuel oil and put nails in a pipe. " + calm
    with nano.watch(ASKED) as watch:
        for start in range(0, len(text), 5):
            if watch.feed(text[start : start + 5]).flagged:
                break
        assert watch.state.flagged
        assert watch.state.safe_to <= len(calm)
        assert watch.state.judged_to <= len(calm) + 120
