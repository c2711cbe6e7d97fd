"""Long texts: nothing is lost, the worst window counts, and too much is an error."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import variations

from edgeguard import Check, Guard
from edgeguard.errors import InputTooLongError
from edgeguard.protocol.messages import Message
from edgeguard.session.fake import FakeSession
from edgeguard.slices import CountedMessage, counted
from edgeguard.windows import Windows

SAFE = "Safety: Safe\nCategories: None"
UNSAFE = "Safety: Unsafe\nCategories: PII"


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=1), st.integers(min_value=8, max_value=60))
def test_slices_overlap_and_hold_the_whole_text(text: str, size: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    whole = unicodedata.normalize("NFC", text)
    data = whole.encode()
    message = CountedMessage("user", data, tuple(range(len(data) + 1)))
    slices = [part.content for part, _ in message.slices(size)]
    rest = slices[0]
    for part in slices[1:]:
        overlap = next(n for n in range(len(part), -1, -1) if rest.endswith(part[:n]))
        rest += part[overlap:]
    assert len(rest) <= len(whole)
    assert all(part in whole for part in slices)
    assert whole.startswith(slices[0]) and whole.endswith(slices[-1])
    assert all(len(part.encode()) <= size + 3 for part in slices)


def test_a_text_is_tokenized_once_and_its_windows_once(nano_path: Path) -> None:
    with Guard(nano_path, threads=1, n_ctx=768) as guard:
        session = guard._model.get().session
        read = 0

        def counting(part: str, tokenize: Callable[[str], list[int]] = session.tokenize) -> Any:
            nonlocal read
            read += len(part)
            return tokenize(part)

        session.tokenize = counting  # type: ignore[assignment, method-assign]
        text = "How do I bake bread? " * 300
        check = guard.begin([{"role": "user", "content": text}])
        asked = [question.tokens for question in check.questions]
        windows = sum(len(session.token_bytes(token)) for tokens in asked for token in tokens)
        assert len(asked) > 5
        assert read < len(text) + windows + 1500  # the question around the whole text


@pytest.mark.parametrize("roles", ["u", "uau", "sua", "su"])
def test_the_counts_of_messages_are_those_of_their_question(nano_path: Path, roles: str) -> None:
    named = {"u": "user", "a": "assistant", "s": "system"}
    with Guard(nano_path, threads=1) as guard:
        session, windows = guard._model.get().session, guard._model.get().windows
        assert isinstance(windows, Windows)
        for text in variations(60, seed=7):
            normal = unicodedata.normalize("NFC", text)
            messages = tuple(Message(named[role], normal) for role in roles)  # type: ignore[arg-type]
            question = windows._tokenizer.question(messages)
            for message in counted(session, question, messages).messages:
                assert message.data.decode() == normal
                assert abs(message.count - len(session.tokenize(normal))) <= 3
                (whole,) = message.slices(message.count + 1)
                assert whole[0].content == normal


def _where(needle: str) -> FakeSession:
    return FakeSession(lambda q: UNSAFE if needle in q else SAFE, n_ctx=3000)


@pytest.mark.parametrize("place", [0, 1, 2999, 12_345, 39_990])
def test_a_needle_is_found_wherever_it_lies(place: int) -> None:
    text = "x" * place + "NEEDLE" + "y" * (40_000 - place)
    verdict = Guard.with_session(_where("NEEDLE")).check(text)
    assert (verdict.severity, verdict.categories) == ("Unsafe", ("PII",))
    assert verdict.windows > 10


def test_a_text_that_fits_is_judged_whole() -> None:
    assert Guard.with_session(_where("NEEDLE")).check("x" * 1000).windows == 1


def test_a_needle_in_the_history_is_found_and_the_last_message_is_always_there() -> None:
    session = _where("NEEDLE")
    guard = Guard.with_session(session)
    history = [{"role": "user", "content": f"turn {i} " + "x" * 300} for i in range(30)]
    history[11]["content"] += "NEEDLE"
    verdict = guard.check_messages([*history, {"role": "user", "content": "LAST?"}])
    assert verdict.severity == "Unsafe"
    assert verdict.windows > 1
    texts = [bytes(token for token in read if token < 256).decode() for read in session.reads]
    assert all("USER: LAST?" in text for text in texts)
    seen = set(re.findall(r"turn (\d+) ", "".join(texts)))
    assert seen == {str(i) for i in range(30)}


def test_a_long_history_and_a_long_message_are_judged_in_every_combination() -> None:
    session = FakeSession(lambda q: UNSAFE if "HEAD" in q and "TAIL" in q else SAFE, n_ctx=5000)
    messages = [
        {"role": "user", "content": "HEAD" + "x" * 3000},
        {"role": "assistant", "content": "y" * 3000},
        {"role": "user", "content": "z" * 3000 + "TAIL"},
    ]
    assert Guard.with_session(session).check_messages(messages).severity == "Unsafe"


def test_the_worst_window_gives_the_severity_and_all_give_categories() -> None:
    def script(question: str) -> str:
        if "ALPHA" in question:
            return "Safety: Controversial\nCategories: Violent"
        return UNSAFE if "OMEGA" in question else SAFE

    guard = Guard.with_session(FakeSession(script, n_ctx=3000))
    verdict = guard.check("ALPHA" + "x" * 20_000 + "OMEGA")
    assert verdict.severity == "Unsafe"
    assert verdict.categories == ("PII", "Violent")
    assert verdict.answer == "Safety: Unsafe\nCategories: PII, Violent"


def test_a_response_that_complies_in_one_window_is_no_refusal() -> None:
    def script(question: str) -> str:
        refusal = "Yes" if "SORRY" in question else "No"
        return f"Safety: Safe\nCategories: None\nRefusal: {refusal}"

    guard = Guard.with_session(FakeSession(script, n_ctx=3000))
    assert guard.check_response("q", "SORRY").refusal == "Yes"
    assert guard.check_response("q", "SORRY" + "x" * 20_000).refusal == "No"


def test_too_many_windows_are_an_error_with_both_numbers() -> None:
    with pytest.raises(InputTooLongError, match=r"\d+ windows of 3000 tokens, and at most 64"):
        Guard.with_session(_where("N")).check("x" * 1_000_000)


@pytest.mark.parametrize("text", [" word" * 200_000, "字" * 1_500_000, "x" * 3_000_000])
def test_reading_a_text_that_is_much_too_long_ends_early_and_can_be_stopped(
    nano_path: Path, text: str
) -> None:
    with Guard(nano_path, threads=1, n_ctx=768) as guard:
        session = guard._model.get().session
        read = 0

        def counting(part: str, tokenize: Callable[[str], list[int]] = session.tokenize) -> Any:
            nonlocal read
            read += len(part)
            return tokenize(part)

        session.tokenize = counting  # type: ignore[assignment, method-assign]
        with pytest.raises(InputTooLongError, match="more than 64 windows"):
            guard.check(text)
        assert read < len(text)
        with pytest.raises(TimeoutError):
            guard.check(text, timeout=0.001)


# Around every bound. A token of the fake session is a byte.

_WORD = st.sampled_from(["x", "é", "字", "👩‍👩‍👧", " word", "\n", "ẛ̣"])


def _judged(guard: Guard, messages: list[dict[str, str]]) -> int:
    """The windows of a conversation whose every question was read with room for its answer."""
    verdict = guard.check_messages(messages)
    assert verdict.severity == "Safe"
    return verdict.windows


@pytest.mark.parametrize("mode", ["prompt", "response"])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_every_length_around_the_bound_of_one_window(mode: str, turns: int) -> None:
    answer = f"{SAFE}\nRefusal: No" if mode == "response" else SAFE
    guard = Guard.with_session(FakeSession(lambda _: answer, n_ctx=3400))
    before = [
        {"role": role, "content": f"{role} {turn}"}
        for turn in range(turns)
        for role in ("user", "assistant")
    ]
    last = [{"role": "user", "content": "{}"}]
    if mode == "response":
        last.append({"role": "assistant", "content": "{}"})
        last[0]["content"] = "Hello"

    def windows(length: int) -> int:
        text = last[-1]["content"].format("x" * length)
        return _judged(guard, [*before, *last[:-1], {**last[-1], "content": text}])

    low, high = 1, 3400  # the longest text that is one window, by halving
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if windows(middle) == 1 else (low, middle)
    for length in range(low - 12, low + 40):
        assert windows(length) == (1 if length <= low else 2)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(min_value=0, max_value=24),
    st.lists(st.tuples(_WORD, st.integers(min_value=0, max_value=700)), max_size=5),
    st.integers(min_value=0, max_value=80),
    _WORD,
    st.integers(min_value=1, max_value=1500),
    st.booleans(),
)
def test_every_conversation_is_judged_or_needs_too_many_windows(
    extra: int,
    history: list[tuple[str, int]],
    short: int,
    word: str,
    length: int,
    response: bool,
) -> None:
    answer = f"{SAFE}\nRefusal: No" if response else SAFE
    guard = Guard.with_session(FakeSession(lambda _: answer, n_ctx=2600 + 32 * extra))
    # Many short messages: their labels take more than they do.
    before = [*(w * n for w, n in history), *["ok"] * short]
    messages = [_message(number, text) for number, text in enumerate(before)]
    if response:
        messages = [*messages[: len(messages) // 2 * 2], {"role": "user", "content": "Hi"}]
    messages.append({"role": "assistant" if response else "user", "content": "." + word * length})
    try:
        assert _judged(guard, messages) >= 1
    except InputTooLongError as error:
        assert re.search(r"needs \d+ windows", str(error))


def _message(number: int, text: str) -> dict[str, str]:
    return {"role": ("user", "assistant")[number % 2], "content": text}


def test_a_history_of_short_messages_fits_although_its_labels_are_longer() -> None:
    guard = Guard.with_session(FakeSession(lambda _: SAFE, n_ctx=2600))
    for turns in range(1, 120):
        messages = [_message(number, "k") for number in range(2 * turns)]
        assert _judged(guard, [*messages, {"role": "user", "content": "?" * 400}]) >= 1


def test_nano_cuts_any_text_into_windows_that_fit(nano_path: Path) -> None:
    with Guard(nano_path, threads=1, n_ctx=768) as guard:
        windows = guard._model.get().windows
        assert isinstance(windows, Windows)
        limit = windows._limit
        for number, text in enumerate(variations(150, seed=5)):
            messages = [_message(turn, text[:20]) for turn in range(number % 5 * 2)]
            # Nothing is computed: the windows and their tokens are known before.
            check = guard.begin([*messages, {"role": "user", "content": ("." + text) * 8}])
            assert max(len(question.tokens) for question in check.questions) <= limit


@pytest.mark.parametrize("n_ctx", [512, 640, 1024])
def test_nano_judges_every_length_around_its_bound(nano_path: Path, n_ctx: int) -> None:
    with Guard(nano_path, threads=1, n_ctx=n_ctx) as guard:
        for response in (False, True):
            low, high = 1, n_ctx

            def check(length: int, response: bool = response) -> Check:
                messages = [{"role": "user", "content": " word" * length}]
                if response:
                    messages = [{"role": "user", "content": "Hi"}, *messages]
                    messages[-1]["role"] = "assistant"
                return guard.begin(messages)

            try:
                while high - low > 1:
                    middle = (low + high) // 2
                    one = check(middle).windows == 1
                    low, high = (middle, high) if one else (low, middle)
            except InputTooLongError:
                continue  # the question alone leaves no room here
            for length in range(low - 3, low + 3):
                assert check(length).verdict().tokens > 300
