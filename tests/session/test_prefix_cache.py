"""The prefix cache: what is read again costs what is new, and exact reads stay exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeguard import Guard
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

STORY = (
    "The quick brown fox jumps over the lazy dog and then it sleeps under an old tree near the "
    "calm river, where children play every day, singing songs; nobody minds. Later they walk home! "
    "Es war einmal ein kleiner Bär, der gern Honig aß. 昔々、あるところに、おじいさんがいました。"
)
WORDS = STORY.split()
TOLERANCE = 0.5  # of a logit: what another split into batches makes of nano at q8_0
BATCH = 32


@pytest.fixture(scope="module")
def session(nano_path: Path) -> LlamaSession:
    return LlamaSession(nano_path, settings=Settings(1, n_batch=BATCH))


@pytest.fixture(scope="module")
def ids(session: LlamaSession) -> list[int]:
    return session.tokenize(" ".join(WORDS * 4))


def _read(session: LlamaSession, tokens: list[int], exact: bool = True) -> np.ndarray:
    return session.read(tokens, room=8, prefix=20, suffix=6, exact=exact)


edits = st.lists(
    st.tuples(st.integers(0, 150), st.integers(27, 200), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits)
def test_exact_reads_are_those_of_a_new_session_in_any_order(
    session: LlamaSession, ids: list[int], edits: list[tuple[int, int, int, bool]]
) -> None:
    """Grown, shortened and changed in the middle, after reads of both kinds and a broken answer."""
    texts: list[tuple[list[int], bool]] = []
    for place, size, step, exact in edits:
        tokens = ids[:size]
        if step and 20 <= place < size:
            tokens[place:] = ids[place + step : size + step]
        texts.append((tokens, exact))
    session.free_contexts()
    found = []
    for tokens, exact in texts:
        logits = _read(session, tokens, exact)
        session.extend(ids[:2])
        if exact:
            found.append(logits)
    for tokens, exact in texts:
        if exact:
            session.free_contexts()
            assert np.array_equal(_read(session, tokens), found.pop(0))


def test_an_exact_read_of_a_grown_text_skips_whole_batches(
    session: LlamaSession, ids: list[int], computed: list[int]
) -> None:
    session.free_contexts()
    _read(session, ids[:180])
    computed.clear()
    _read(session, ids[:190])
    assert sum(computed) == 190 - 20 - (180 - 20) // BATCH * BATCH


@pytest.mark.parametrize("kind", ["response", "prompt"])
def test_a_growing_text_costs_what_is_new(nano: Guard, computed: list[int], kind: str) -> None:
    costs = []
    for end in range(5, len(WORDS), 5):
        text = " ".join(WORDS[:end])
        messages = [{"role": "user", "content": "Tell me a story."}]
        if kind == "response":
            messages.append({"role": "assistant", "content": text})
        else:
            messages[0]["content"] = text
        computed.clear()
        nano.check_messages(messages)
        costs.append(sum(computed))
    # A text of under 16 tokens is read anew; words of other scripts have more tokens.
    assert max(costs[1:]) <= min(costs) + 30


def test_a_text_that_grows_by_letters_costs_the_same(nano: Guard, computed: list[int]) -> None:
    text, costs = " ".join(WORDS), []
    for end in range(30, len(text), 7):
        computed.clear()
        nano.check_response("Tell me a story.", text[:end])
        costs.append(sum(computed))
    # A text of under 16 tokens is read anew; words of other scripts have more tokens.
    assert max(costs[1:]) <= min(costs) + 30


def test_an_inexact_read_is_close_to_an_exact_one(
    session: LlamaSession, nano_path: Path, ids: list[int]
) -> None:
    session.free_contexts()
    other = LlamaSession(nano_path, settings=Settings(1, n_batch=BATCH))
    for end in range(60, 200, 11):
        grown = _read(session, ids[:end], exact=False)
        assert np.abs(_read(other, ids[:end]) - grown).max() < TOLERANCE
        other.free_contexts()


def test_unrelated_texts_that_begin_alike_stay_exact(nano: Guard, nano_path: Path) -> None:
    """So answers do not depend on whom else was asked about, unless something is saved by it."""
    prompt = "How do I water tomatoes in a hot summer when I am away?"
    answers = ["Use a drip system.", "Ask a neighbour to help you out.", "Mulch well, water deep."]
    with Guard(nano_path, threads=1) as guard:
        alone = guard.check_response(prompt, answers[2]).probabilities
    for answer in answers:
        verdict = nano.check_response(prompt, answer)
    assert verdict.probabilities == alone
