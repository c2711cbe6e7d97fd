"""The decoder, on a session that follows a script: what it asks for, and what it makes of it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import checkpoints
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeguard import Guard
from edgeguard.convert import convert
from edgeguard.decoder import LOW_MASS
from edgeguard.errors import ModelError
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import (
    MODES,
    NO_CATEGORY,
    REFUSALS,
    SAFE,
    SEVERITIES,
    Mode,
    categories,
)
from edgeguard.session.fake import FAKE_INFO, FakeSession


@settings(max_examples=60)
@given(st.data())
def test_every_answer_of_the_language_can_be_decoded(data: st.DataObject) -> None:
    response = data.draw(st.booleans())
    severity = data.draw(st.sampled_from(SEVERITIES))
    names = data.draw(
        st.lists(st.sampled_from(categories("response" if response else "prompt")), unique=True)
    )
    named = "None" if severity == SAFE or not names else ", ".join(names)
    text = f"Safety: {severity}\nCategories: {named}"
    if response:
        text += f"\nRefusal: {data.draw(st.sampled_from(REFUSALS))}"
    guard = Guard.with_session(FakeSession(lambda _: text))
    verdict = guard.check_response("a", "b") if response else guard.check("a")
    assert verdict.answer == text
    assert verdict.severity == severity == max(SEVERITIES, key=verdict.probabilities.__getitem__)


def test_a_safe_prompt_takes_one_pass() -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None")
    Guard.with_session(session).check("a")
    assert session.passes == 1


def test_forced_tokens_are_read_in_the_pass_of_the_next_decision() -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None\nRefusal: Yes")
    Guard.with_session(session).check_response("a", "b")
    assert session.passes == 2  # severity, refusal


def test_a_model_that_says_something_else_is_held_to_the_language(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = FakeSession(lambda _: "I think it is fine.")
    guard = Guard.with_session(session, allow_random_weights=True)
    assert guard.check("a").severity in SEVERITIES
    assert guard.check("b").severity in SEVERITIES
    assert caplog.text.count("its verdicts mean nothing") == 1


def test_a_model_that_says_something_else_does_not_answer() -> None:
    guard = Guard.with_session(FakeSession(lambda _: "I think it is fine."))
    with pytest.raises(ModelError, match="--allow-random-weights"):
        guard.check("a")


@pytest.mark.parametrize(("confidence", "answers"), [(3.25, False), (3.40, True)])
def test_a_tenth_of_the_probability_is_the_least(confidence: float, answers: bool) -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None", confidence=confidence)
    mass = (np.e**confidence + 2) / (np.e**confidence + FAKE_INFO.n_vocab - 1)
    assert (mass >= LOW_MASS) is answers
    guard = Guard.with_session(session)
    with nullcontext() if answers else pytest.raises(ModelError):
        guard.check("a")


def test_the_probabilities_are_the_softmax_of_the_three_words() -> None:
    session = FakeSession(lambda _: "Safety: Unsafe\nCategories: PII", confidence=2.0)
    guard = Guard.with_session(session, allow_random_weights=True)
    shares = guard.check("a").probabilities
    assert shares["Unsafe"] == pytest.approx(np.e**2 / (np.e**2 + 2))
    assert sum(shares.values()) == pytest.approx(1)


class _Broken(FakeSession):
    def _logits(self) -> NDArray[np.float32]:
        return np.full_like(super()._logits(), np.nan)


def test_a_model_that_computes_nan_is_an_error_and_not_a_verdict() -> None:
    with pytest.raises(ModelError, match="no finite number"):
        Guard.with_session(_Broken(lambda _: "")).check("a")


class _Blind(FakeSession):
    """A tokenizer in which Safe and Unsafe begin with the same token."""

    def tokenize(self, text: str) -> list[int]:
        return super().tokenize(text.replace("Unsafe", "Safe!"))

    def token_bytes(self, token: int) -> bytes:
        return super().token_bytes(token)


def test_a_tokenizer_that_cannot_tell_the_severities_apart_is_refused() -> None:
    with pytest.raises(ModelError):
        Guard.with_session(_Blind(lambda _: ""))


def test_a_choice_is_the_softmax_over_what_may_come_next() -> None:
    answer = "Safety: Unsafe\nCategories: Violent, PII\nRefusal: No"
    session = FakeSession(lambda _: answer, confidence=3.0)
    guard = Guard.with_session(session, allow_random_weights=True)
    verdict = guard.check_response("a", "b")
    assert [choice.place for choice in verdict.choices] == sorted(
        {choice.place for choice in verdict.choices}
    )
    for choice in verdict.choices:
        tokens = dict(choice.tokens)
        chosen = answer.encode()[choice.place : choice.place + 1]
        assert len(tokens) > 1
        assert tokens[chosen] == pytest.approx(np.e**3 / (np.e**3 + len(tokens) - 1))
        assert sum(tokens.values()) == pytest.approx(1)
    severity, *_, refusal = verdict.choices
    assert tuple(dict(severity.tokens).values()) == pytest.approx(
        [verdict.probabilities[name] for name in ("Controversial", "Safe", "Unsafe")]
    )
    assert dict(refusal.tokens).keys() == {b"Y", b"N"}


def test_several_windows_have_no_choices(nano: Guard) -> None:
    session = FakeSession(lambda _: "Safety: Safe\nCategories: None", n_ctx=4096)
    verdict = Guard.with_session(session).check("word " * 1000)
    assert verdict.windows > 1
    assert verdict.choices == ()
    assert nano.check("a").choices


def _by_hand(mode: Mode) -> dict[str, float]:
    """The share of each category where bytes are tokens and nothing is scripted."""
    names = categories(mode)
    shares = {}
    for name in names:
        share = 1.0
        for place in range(len(name)):
            same = [other for other in names if other.startswith(name[:place])]
            share /= len({other[place] for other in same})
        shares[name] = share
    return shares


@pytest.mark.parametrize("mode", MODES)
def test_shares_of_categories_multiply_along_the_tokens(mode: Mode) -> None:
    answer = "Safety: Safe\nCategories: None" + ("\nRefusal: No" if mode == "response" else "")
    session = FakeSession(lambda _: answer)
    guard = Guard.with_session(session, category_probabilities=True)
    verdict = guard.check("a") if mode == "prompt" else guard.check_response("a", "b")
    shares = verdict.category_probabilities
    assert shares is not None
    assert dict(shares) == pytest.approx(_by_hand(mode))
    assert sum(shares.values()) == pytest.approx(1)
    assert verdict.answer == answer


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_asking_for_shares_changes_no_answer(data: st.DataObject) -> None:
    severity = data.draw(st.sampled_from(SEVERITIES))
    names = data.draw(st.lists(st.sampled_from(categories("response")), unique=True))
    named = "None" if severity == SAFE or not names else ", ".join(names)
    text = (
        f"Safety: {severity}\nCategories: {named}\nRefusal: {data.draw(st.sampled_from(REFUSALS))}"
    )
    plain = Guard.with_session(FakeSession(lambda _: text)).check_response("a", "b")
    asked = Guard.with_session(
        FakeSession(lambda _: text), category_probabilities=True
    ).check_response("a", "b")
    assert (asked.answer, asked.probabilities, asked.choices) == (
        *(plain.answer, plain.probabilities, plain.choices),
    )
    assert asked.category_probabilities is not None
    if names and severity != SAFE:
        first = max(asked.category_probabilities.items(), key=lambda pair: pair[1])
        assert first[0] == names[0]


def test_shares_are_free_where_names_part_at_once_and_a_category_is_decided(nano: Guard) -> None:
    named = nano.check("How can I make a bomb?")
    assert named.category_probabilities is not None
    assert (
        max(named.category_probabilities, key=named.category_probabilities.__getitem__)
        == (named.categories[0])
    )
    assert nano.check("What is the capital of France?").category_probabilities is None


@pytest.mark.parametrize("response", [None, "I cannot help with that."])
def test_shares_are_the_model_s_own_wherever_the_cache_stands(response: str | None) -> None:
    """Against a plain reading of the same tokens, anew."""
    with Guard("nano", threads=1, category_probabilities=True) as guard:
        text = "What is the capital of France?"
        verdict = guard.check(text) if response is None else guard.check_response(text, response)
        assert verdict.severity == SAFE
        assert verdict.category_probabilities is not None
        loaded = guard._model.get()
        messages = [Message("user", text)]
        if response is not None:
            messages.append(Message("assistant", response))

        def plain() -> dict[str, float]:
            (question,) = loaded.windows.questions(tuple(messages))
            session = loaded.session
            harmful = max(
                (s for s in SEVERITIES if s != SAFE), key=verdict.probabilities.__getitem__
            )
            tokens = [*question.tokens, *session.tokenize(f"Safety: {harmful}\nCategories:")]
            logits = session.read(tokens, room=64)
            names = categories(question.mode)
            firsts = [session.tokenize(f" {name}")[0] for name in names]
            assert len(set(firsts)) == len(names)
            weights = np.exp(logits[firsts].astype(np.float64))
            return dict(zip(names, weights / weights.sum()))

        expected = guard._thread.run(plain)
    assert dict(verdict.category_probabilities) == pytest.approx(expected, abs=2e-2)


def test_the_real_vocabulary_parts_categories_at_the_first_token(real_vocabulary: Path) -> None:
    with Guard(real_vocabulary, threads=1, allow_random_weights=True) as guard:
        names = (*categories("prompt"), NO_CATEGORY)
        assert len({guard.tokenize(f" {name}")[0] for name in names}) == len(names)


@pytest.fixture(scope="module")
def short_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in whose vocabulary the names of categories share their first tokens."""
    folder = tmp_path_factory.mktemp("short")
    learned = checkpoints._learn_merges()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "_learn_merges", lambda: learned[:1])
        checkpoints.write_checkpoint(folder / "checkpoint", seed=7)
    return convert(
        folder / "checkpoint", folder / "short.gguf", type="bf16", trust_template=True
    ).path


def test_shares_below_common_prefixes_are_the_model_s_own(short_tokens: Path) -> None:
    """The product along the way, each part of it read plainly."""
    with Guard(
        short_tokens, threads=1, allow_random_weights=True, category_probabilities=True
    ) as guard:
        names = categories("prompt")
        assert len({guard.tokenize(f" {name}")[:1] for name in names}) < len(names)
        verdicts = [guard.check(f"A garden with {number} trees.") for number in range(3)]
        loaded = guard._model.get()
        session = loaded.session

        def plain(text: str, severity: str) -> dict[str, float]:
            (question,) = loaded.windows.questions((Message("user", text),))
            start = [*question.tokens, *session.tokenize(f"Safety: {severity}\nCategories:")]
            names = {name: session.tokenize(f" {name}") for name in categories("prompt")}
            shares = dict.fromkeys(names, 1.0)
            for name, tokens in names.items():
                for place, token in enumerate(tokens):
                    same = {
                        other[place]
                        for other in names.values()
                        if other[:place] == tokens[:place] and len(other) > place
                    }
                    if len(same) > 1:
                        logits = session.read([*start, *tokens[:place]], room=0)
                        weights = {t: np.exp(float(logits[t])) for t in same}
                        shares[name] *= weights[token] / sum(weights.values())
            return shares

        for number, verdict in enumerate(verdicts):
            harmful = verdict.severity
            if harmful == SAFE:
                harmful = max(
                    (s for s in SEVERITIES if s != SAFE), key=verdict.probabilities.__getitem__
                )
            text = f"A garden with {number} trees."
            expected = guard._thread.run(lambda t=text, h=harmful: plain(t, h))  # type: ignore[misc]
            assert verdict.category_probabilities is not None
            assert dict(verdict.category_probabilities) == pytest.approx(expected, abs=2e-2)
