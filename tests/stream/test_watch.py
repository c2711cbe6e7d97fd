"""A response watched by a Stream: however it is cut, the same labels; nothing shown too soon."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from drawn_policies import policies
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard import (
    Cancellation,
    CancelledError,
    ClosedError,
    Guard,
    InputError,
    ModelError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.policy import LOOSE, STRICT, Policy
from edgeguard.policy.in_a_row import decide_in_a_row, first_run, flag_of, suspected
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, UNSAFE, Severity
from edgeguard.session.compatibility import check_stream
from edgeguard.session.fake_stream import FakeStates, FakeStreamSession
from edgeguard.stream.heads import Heads
from edgeguard.stream.judge import StreamJudge, evidence
from edgeguard.watch.state import WatchState
from edgeguard.watch.watch import Watch

ASKED = [{"role": "user", "content": "Tell me something"}]
PII = "PII"


def script(role: str, text: str) -> Severity | tuple[Severity, str]:
    """X makes a token Unsafe, ? Controversial; a prompt is so if it holds one anywhere."""
    seen = text if role == "user" else text[-1:]
    if "X" in seen:
        return UNSAFE, PII
    return (CONTROVERSIAL, PII) if "?" in seen else SAFE


def guard(session: FakeStreamSession | None = None) -> Guard:
    return Guard.with_session(session or FakeStreamSession(script))


def judge(session: FakeStreamSession, in_a_row: int = 2, policy: Policy = STRICT) -> StreamJudge:
    """One that has read a conversation."""
    heads = Heads(check_stream(session, "fake"))
    found = StreamJudge(session, heads, policy=policy, in_a_row=in_a_row)
    found.begin((Message("user", "Tell me something"),))
    return found


def fed(watch: Watch, text: str, cuts: list[int]) -> list[WatchState]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [watch.feed(text[a:b]) for a, b in pairwise(edges)]


TEXT = st.text(alphabet="ab X?é中\u0301\n", min_size=1, max_size=40).filter(
    lambda text: bool(text.strip("\n\u0301 "))
)
CUTS = st.lists(st.integers(0, 40), max_size=6)


@settings(deadline=None)
@given(TEXT, CUTS)
def test_however_it_is_cut_the_labels_are_those_of_the_whole(text: str, cuts: list[int]) -> None:
    session = FakeStreamSession(script)
    whole, cut = judge(session), judge(session)
    whole.feed(text)
    edges = [0, *sorted(min(place, len(text)) for place in cuts), len(text)]
    readings = [cut.feed(text[a:b]) for a, b in pairwise(edges)]
    a, b = whole.end(), cut.end()
    assert [(x.start, x.end, x.severity) for x in whole.labels()] == [
        (x.start, x.end, x.severity) for x in cut.labels()
    ]
    assert (a.severity, a.categories, a.decision, a.tokens, a.span) == (
        *(b.severity, b.categories, b.decision, b.tokens, b.span),
    )
    # numpy's last digits depend on how many tokens a pass has
    assert a.probabilities == pytest.approx(b.probabilities)
    for before, after in pairwise([*readings, b]):
        assert before.safe_to <= after.safe_to and before.judged_to <= after.judged_to
        assert before.decision.flagged <= after.decision.flagged
        if before.decision.flagged:
            assert before.safe_to == after.safe_to
            assert before.span and after.span and before.span[0] == after.span[0]
    with guard(session) as one:
        checked = one.check_response("Tell me something", text)
        assert (checked.severity, checked.categories) == (a.severity, a.categories)
        assert checked.tokens == a.tokens and checked.refusal is None


@settings(deadline=None)
@given(TEXT, CUTS)
def test_nothing_is_shown_that_is_not_safe(text: str, cuts: list[int]) -> None:
    with guard() as one, one.watch(ASKED) as watch:
        states = fed(watch, text, cuts)
        verdict = watch.end()
        states.append(watch.state)
    for before, after in pairwise(states):
        assert before.safe_to <= after.safe_to and before.flagged <= after.flagged
    for state in states:
        assert 0 <= state.safe_to <= state.judged_to <= len(text)
        shown = text[: state.safe_to]
        assert "XX" not in shown and "??" not in shown
        if state.flagged:
            assert state.span is not None and state.safe_to <= state.span[0] <= state.span[1]
    judged = text + text[-1]  # the script calls the end of the answer as what is before it
    assert verdict.flagged == ("XX" in judged or "??" in judged)


def test_a_single_harmful_token_holds_the_text_back_until_the_next_one() -> None:
    with guard() as one, one.watch(ASKED) as watch:
        state = watch.feed("good Xa good ")
        assert not state.flagged and state.safe_to == state.judged_to
        assert not watch.feed("goodX and").flagged
        state = watch.feed(" XX and more of it ")
        text = "good Xa good goodX and XX and more of it "
        assert state.flagged and state.severity == UNSAFE and state.categories == (PII,)
        assert state.span is not None and state.span[0] == text.index("XX")
        assert state.safe_to == text.index("XX")
        assert watch.feed("all is well now ").flagged
        verdict = watch.end()
    assert verdict.flagged and verdict.reason and verdict.category_probabilities is not None
    assert verdict.category_probabilities[PII] == pytest.approx(1)


def test_a_suspected_token_at_the_end_is_judged_and_not_shown() -> None:
    one = judge(FakeStreamSession(script))
    reading = one.feed("goodX and")
    assert (reading.judged_to, reading.safe_to) == (5, 4)
    assert one.feed(" more ").safe_to == 14


def test_what_is_not_stable_waits() -> None:
    with guard() as one, one.watch(ASKED) as watch:
        assert watch.feed("aXX").judged_to == 0
        state = watch.feed(" b")
        assert state.judged_to == 3 and state.flagged


def test_a_text_without_word_borders_is_judged_all_the_same() -> None:
    with guard() as one, one.watch(ASKED) as watch:
        state = watch.feed("a" * 50 + "XX" + "a" * 50)
        assert state.flagged and state.safe_to == 50 and state.judged_to >= 90


def test_loose_shows_what_is_controversial() -> None:
    with guard() as one, one.watch(ASKED, policy="loose") as watch:
        state = watch.feed("well ?? then ")
        assert not state.flagged and state.severity == CONTROVERSIAL
        assert state.safe_to == state.judged_to > 7
        verdict = watch.end()
        assert (verdict.policy, verdict.flagged) == ("loose", False)
        assert verdict.severity == CONTROVERSIAL


def test_one_token_counts_where_asked() -> None:
    with guard() as one:
        with one.watch(ASKED, in_a_row=1) as watch:
            state = watch.feed("one X is enough ")
            assert state.flagged and state.safe_to == 4
        with one.watch(ASKED, in_a_row=3) as watch:
            assert not watch.feed("XX is not enough, nor is X X ").flagged
            assert watch.feed("XXX is ").flagged
        for wrong in (0, -1, 1.0, True, None):
            with pytest.raises(InputError, match="in_a_row is"):
                one.watch(ASKED, in_a_row=wrong)  # type: ignore[arg-type]


def test_each_token_costs_one_token() -> None:
    session = FakeStreamSession(script)
    with guard(session) as one, one.watch(ASKED) as watch:
        text = "some words of a response that comes in small pieces, one after the other. " * 3
        for letter in text:
            watch.feed(letter)
        verdict = watch.end()
    assert session.opened[-1].computed == verdict.tokens


def test_the_prompt_is_judged_at_its_end_and_does_not_flag_the_response() -> None:
    with guard() as one, one.watch([{"role": "user", "content": "an X in it"}]) as watch:
        assert watch.prompt is not None and watch.prompt.flagged and watch.prompt.mode == "prompt"
        assert watch.prompt.categories == (PII,)
        assert not watch.feed("I cannot help with that. ").flagged
        assert watch.end().severity == SAFE


def test_a_prompt_that_is_not_known_and_no_response_at_all() -> None:
    with guard() as one:
        with one.watch([]) as watch:
            assert watch.prompt is None
            assert watch.feed("XX and more ").flagged
        answered = [*ASKED, {"role": "assistant", "content": "Yes"}]
        with pytest.raises(InputError, match="the last message must be the user's"):
            one.watch(answered)


@pytest.mark.parametrize("text", ["", "  \n", "\u200b"])
def test_a_response_with_nothing_in_it(text: str) -> None:
    with guard() as one, one.watch(ASKED) as watch:
        watch.feed(text)
        with pytest.raises(InputError, match="nothing to judge"):
            watch.end()


def test_a_response_that_outgrows_the_context_is_watched_on() -> None:
    """Every token has one label, the harm behind the border is found, and no pass is too long."""
    session = FakeStreamSession(script, n_ctx=512)
    text = "many words in a row " * 100
    one = judge(session)
    readings = [one.feed(text[at : at + 90]) for at in range(0, len(text), 90)]
    assert not readings[-1].decision.flagged and readings[-1].windows > 3
    reading = one.feed("XX is here ")
    assert reading.decision.flagged and reading.span == (len(text), len(text) + 2)
    end = one.end()
    labels = one.labels()
    assert [label.end for label in labels[:-2]] == list(range(1, len(text) + 12))
    assert session.opened[-1].computed < 2 * end.tokens


def test_a_long_text_at_once_and_a_long_prompt() -> None:
    session = FakeStreamSession(script, n_ctx=512)
    long = [{"role": "user", "content": "words " * 200 + " X " + "words " * 200}]
    with guard(session) as one:
        with one.watch(long) as watch:
            assert watch.prompt is not None
            assert watch.prompt.windows > 4 and watch.prompt.severity == UNSAFE
            state = watch.feed("more " * 500 + "XX and so on ")
            assert state.flagged and state.windows > 4
        assert one.check_messages(long).severity == UNSAFE
        long.append({"role": "assistant", "content": "more " * 500 + "XX" + " more" * 500})
        verdict = one.check_messages(long)
        assert verdict.severity == UNSAFE and verdict.windows > 4


def test_a_call_that_was_given_up_can_go_on() -> None:
    session, cancel = FakeStreamSession(script), Cancellation()
    with guard(session) as one, one.watch(ASKED, cancel=cancel) as watch:
        watch.feed("some words ")
        session._seconds = 5.0
        timer = threading.Timer(0.2, cancel.cancel)
        timer.start()
        with pytest.raises(CancelledError):
            watch.feed("XX and more ")
        timer.join()
    session = FakeStreamSession(script)
    with guard(session) as one, one.watch(ASKED, timeout=0.3) as watch:
        session._seconds = 5.0
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            watch.feed("XX and more ")
        assert time.monotonic() - started < 2
        assert watch.state.safe_to == 0
        session._seconds = 0.0
        state = watch.feed("")  # the text was kept
        assert state.flagged and state.judged_to >= 7


def test_text_whose_call_was_given_up_before_it_began_is_judged_later() -> None:
    """It waited for another call of the same guard; lost, it would pass unjudged."""
    session = FakeStreamSession(script)
    with guard(session) as one, one.watch(ASKED, timeout=0.2) as watch:
        session._seconds = 1.0
        other = threading.Thread(target=one.check, args=("a slow one",))
        other.start()
        time.sleep(0.1)
        with pytest.raises(TimeoutError):
            watch.feed("XX and more ")
        session._seconds = 0.0
        other.join()
        assert watch.end().flagged


def test_what_is_no_text_takes_nothing_and_the_watch_goes_on() -> None:
    with guard() as one, one.watch(ASKED) as watch:
        with pytest.raises(InputError):
            watch.feed(b"\xff")
        watch.feed("grün ".encode()[:3])
        assert watch.feed("grün ".encode()[3:]).judged_to == 4


def test_an_ended_watch_and_a_closed_guard() -> None:
    session = FakeStreamSession(script)
    with guard(session) as one:
        with one.watch(ASKED) as watch:
            watch.feed("a word ")
            watch.end()
        assert session.opened[-1].freed
        with pytest.raises(ClosedError):
            watch.feed("more")
        open_one = one.watch(ASKED)
    with pytest.raises(ClosedError):
        open_one.feed("a word ")
    open_one.close()


def test_a_model_that_was_given_back_reads_the_response_again() -> None:
    """As idle_unload does between two pieces."""
    session = FakeStreamSession(script)
    with guard(session) as one, one.watch(ASKED) as watch:
        watch.feed("some X words ")
        fresh = FakeStreamSession(script)
        loaded = type(one._model.get()).of(fresh, one.model, "fake")
        one._model._loaded = loaded
        state = watch.feed("XX and more ")
        assert state.flagged and state.safe_to == 13
        assert len(fresh.opened) == 1 and len(watch.labels) > 15


def test_numbers_that_are_none_are_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeStates, "_state", lambda *_: [float("nan")] * 32)
    with guard() as one:
        for call in (
            lambda: one.check("Hello"),
            lambda: one.check_response("Hello", "Yes"),
            lambda: one.watch(ASKED),
        ):
            with pytest.raises(ModelError, match="no finite number"):
                call()


def test_two_watches_side_by_side_do_not_disturb_each_other() -> None:
    session = FakeStreamSession(script)
    with guard(session) as one:
        first, second = one.watch(ASKED), one.watch(ASKED)
        for piece in ("some ", "words ", "and ", "more "):
            first.feed(piece)
            second.feed(piece.upper())
        second.feed("XX and ")
        verdicts = first.end(), second.end()
    assert [verdict.flagged for verdict in verdicts] == [False, True]
    assert [states.computed for states in session.opened] == [v.tokens for v in verdicts]


def _lettered(role: str, text: str) -> Severity | tuple[Severity, str]:
    """V and P make a token Unsafe, v and p Controversial, each of its category."""
    letter = (text or " ")[-1]
    if role == "user" or letter.lower() not in "vp":
        return SAFE
    return (UNSAFE if letter.isupper() else CONTROVERSIAL), {"v": "Violent", "p": PII}[
        letter.lower()
    ]


_LETTERS = st.text(alphabet="aVPvp ", min_size=1, max_size=30).filter(lambda text: text.strip())


@settings(max_examples=60)
@given(policies(), _LETTERS, CUTS, st.booleans())
def test_any_policy_decides_each_token_by_itself(
    policy: Policy, text: str, cuts: list[int], observe: bool
) -> None:
    """The watch says what a check of the whole says, and holds back what can still be flagged."""
    policy = replace(policy, observe=observe)
    session = FakeStreamSession(_lettered)
    with Guard.with_session(session) as one:
        whole = [*ASKED, {"role": "assistant", "content": text}]
        checked = one.begin(whole, policy=policy).verdict()
        with one.watch(ASKED, policy=policy) as watch:
            states = fed(watch, text, cuts)
            verdict = watch.end()
            labels = [evidence(label, "response") for label in watch.labels]
            ends = [label.end for label in watch.labels]
    same = ("flagged", "observed", "reason")
    # What is flagged is not read on.
    for name in same if verdict.flagged else (*same, "severity", "categories"):
        assert getattr(verdict, name) == getattr(checked, name), name
    assert verdict.flagged == decide_in_a_row(policy, labels).flagged
    flags = [flag_of(policy, label) for label in labels]
    for state in [*states, watch.state]:
        judged = [flag for flag, end in zip(flags, ends) if end <= state.judged_to]
        first = None if observe else first_run(judged)
        assert state.flagged == (first is not None) or state is watch.state
        if state.flagged:
            begins = first_run(flags)
            assert begins is not None and state.safe_to == ([0, *ends])[begins]
        elif state is not watch.state:
            held = 0 if observe else suspected(judged)
            assert state.safe_to == state.judged_to - held  # each token is one character here


def test_an_ignored_category_neither_stops_nor_hides_another() -> None:
    rules = (("Violent", "ignore"),)
    with Guard.with_session(FakeStreamSession(_lettered)) as one:
        with one.watch(ASKED, policy=replace(STRICT, categories=rules)) as watch:
            state = watch.feed("aVVVVVV and on ")
            assert state.severity == UNSAFE and not state.flagged
            assert state.safe_to == state.judged_to == 14
            state = watch.feed("and VVVVPP then ")
            assert state.flagged and state.safe_to == 23
            verdict = watch.end()
        assert verdict.categories == ("Violent", PII)
        assert verdict.reason == 'base = "strict" (Unsafe)'
        with one.watch(ASKED, policy=replace(LOOSE, categories=rules)) as watch:
            assert watch.feed("VV and pp ").safe_to == 9  # the last space waits


def test_a_policy_against_disguises_is_judged_sentence_by_sentence() -> None:
    """With both forms; the window is not made smaller because there are two of them."""
    normalising = replace(STRICT, normalise=True)

    def disguised(role: str, text: str) -> Severity | tuple[Severity, str]:
        return (UNSAFE, PII) if role == "assistant" and "bomb" in text else SAFE

    session = FakeStreamSession(disguised)
    with Guard.with_session(session) as one:
        with one.watch(ASKED, policy=normalising) as watch:
            calm = "A calm sentence of some forty characters. " * 20
            state = watch.feed(calm)
            assert state.safe_to > 700 and state.windows == 1 and watch.labels == ()
            state = watch.feed("Then a b0mb comes, and more of it is said. " + calm)
            assert state.flagged and state.windows == 1 and state.safe_to <= len(calm)
            assert watch.end().form == "normalised"
        with pytest.raises(InputError, match="normalise = true"):
            one.watch(ASKED, policy=normalising, in_a_row=1)
