"""A Gen beside a growing response: asked again when enough is new, and at the end about all."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgeguard import Guard, InputError
from edgeguard.protocol.names import SAFE, UNSAFE
from edgeguard.session.fake import FakeSession
from edgeguard.stream.intervals import EVERY

ASKED = [{"role": "user", "content": "Tell me something"}]


def script(question: str) -> str:
    """Of prompts and responses: X makes them Unsafe."""
    severity = "Unsafe\nCategories: PII" if "X" in question else "Safe\nCategories: None"
    return f"Safety: {severity}" + ("\nRefusal: No" if "ASSISTANT: " in question else "")


def test_it_is_asked_when_enough_is_new_and_at_the_end() -> None:
    session = FakeSession(script)
    with Guard.with_session(session) as guard, guard.watch(ASKED) as watch:
        assert watch.prompt.severity == SAFE and len(session.reads) == 1
        states = [watch.feed("words ") for _ in range(100)]
        assert 1 + 600 // (EVERY + 6) <= len(session.reads) <= 1 + 600 // EVERY
        verdict = watch.end()
        assert (verdict.severity, verdict.refusal, verdict.flagged) == (SAFE, "No", False)
        assert watch.labels() == ()
    for before, after in pairwise(states):
        assert before.safe_to <= after.safe_to == after.judged_to <= 600


def test_harm_is_found_at_the_next_ask_and_stays() -> None:
    with Guard.with_session(FakeSession(script)) as guard, guard.watch(ASKED) as watch:
        for _ in range(50):
            before = watch.feed("words ")
        state = watch.feed("X " + "and more " * 40)
        assert state.flagged and state.severity == UNSAFE and state.categories == ("PII",)
        assert state.safe_to == before.judged_to and state.span is not None
        assert state.span[0] <= 300 < state.span[1]
        verdict = watch.end()
        assert verdict.flagged and verdict.severity == UNSAFE


def test_what_was_found_stays_though_the_whole_looks_harmless() -> None:
    """A Gen may change its mind (QwenLM/Qwen3Guard, issue 29); what was shown cannot be."""

    def fickle(question: str) -> str:
        return script(question.replace("X", "") if "at last" in question else question)

    with Guard.with_session(FakeSession(fickle)) as guard, guard.watch(ASKED) as watch:
        assert watch.feed("X " + "and more " * 40).flagged
        watch.feed("at last ")
        verdict = watch.end()
    assert verdict.flagged and verdict.severity == UNSAFE


def test_a_text_without_borders_and_one_with_nothing_in_it() -> None:
    session = FakeSession(script)
    with Guard.with_session(session) as guard:
        with guard.watch(ASKED) as watch:
            assert watch.feed("a" * 5 * EVERY).judged_to == 5 * EVERY
        with guard.watch(ASKED) as watch:
            watch.feed(" " * 1000)
            with pytest.raises(InputError, match="nothing to judge"):
                watch.end()


def test_windows_that_were_judged_are_not_judged_again() -> None:
    session = FakeSession(script, n_ctx=4096)
    with Guard.with_session(session) as guard, guard.watch(ASKED) as watch:
        for _ in range(40):
            watch.feed("words " * 40)
        verdict = watch.end()
        assert verdict.windows > 3
        asked = len(session.reads)
    # Each feed is one ask, of its last window alone; where a window is full, of two.
    assert asked <= 1 + 41 + 2 * verdict.windows


def test_the_real_small_model(nano: Guard) -> None:
    with nano.watch([{"role": "user", "content": "What is the capital of France?"}]) as watch:
        for piece in ("The capital ", "of France ") * 12:
            watch.feed(piece)
        verdict = watch.end()
    assert verdict.mode == "response" and verdict.refusal is not None
