"""What a server lists of the next token, against the softmax that it is of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import SessionError
from edgeguard.remote.next_token import NEXT_TO_NOTHING, next_token

N_VOCAB = 40
LOGITS = st.lists(st.floats(-30, 30), min_size=N_VOCAB, max_size=N_VOCAB)
WANTED = st.lists(st.integers(0, N_VOCAB - 1), min_size=1, max_size=8, unique=True)


def logprobs_of(logits: list[float]) -> list[float]:
    array = np.array(logits)
    return list(array - np.logaddexp.reduce(array))


@given(logits=LOGITS, wanted=WANTED)
def test_those_that_were_asked_for(logits: list[float], wanted: list[int]) -> None:
    """Their probabilities are the true ones, and with the rest they add up to 1."""
    true = logprobs_of(logits)
    found = next_token([(token, true[token]) for token in wanted], is_top=False)
    array = found.logits(wanted, N_VOCAB).astype("float64")
    assert array.shape == (N_VOCAB,)
    assert [array[token] for token in wanted] == pytest.approx([true[t] for t in wanted], rel=1e-6)
    assert np.exp(array).sum() == pytest.approx(1.0, abs=1e-6)


@given(logits=LOGITS, wanted=WANTED, top=st.integers(1, N_VOCAB))
def test_the_likeliest(logits: list[float], wanted: list[int], top: int) -> None:
    """What is not listed is an error, or so little that nothing else is moved."""
    true = logprobs_of(logits)
    order = sorted(range(N_VOCAB), key=lambda token: -true[token])[:top]
    found = next_token([(token, true[token]) for token in order], is_top=True)
    try:
        array = found.logits(wanted, N_VOCAB).astype("float64")
    except SessionError:
        assert not found.knows(wanted)
        return
    shares, exact = (np.exp(values) for values in (array[wanted], np.array(true)[wanted]))
    assert np.abs(shares - exact).sum() <= 2 * NEXT_TO_NOTHING * exact.sum() + 1e-9
    assert any(token in order for token in wanted)


@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.floats(0.1, 50)), min_size=2, max_size=9))
def test_logits_are_refused(pairs: list[tuple[int, float]]) -> None:
    with pytest.raises(SessionError, match="more than 1"):
        next_token(pairs, is_top=True)


@pytest.mark.parametrize("pair", [("1", -1.0), (True, -1.0), (-1, -1.0), (1.0, -1.0)])
def test_a_token_is_an_id(pair: tuple[object, object]) -> None:
    with pytest.raises(SessionError, match="id"):
        next_token([pair], is_top=True)


@pytest.mark.parametrize("value", [None, "-1", True, math.nan, [-1.0]])
def test_a_log_probability_is_a_number(value: object) -> None:
    with pytest.raises(SessionError, match="number"):
        next_token([(1, value)], is_top=True)


def test_nothing_at_all() -> None:
    with pytest.raises(SessionError, match="no log probabilities"):
        next_token([], is_top=False)


def test_what_is_impossible_stays_a_number() -> None:
    """-inf is written as the lowest float; an answer can still be decided."""
    found = next_token([(1, -3.4e38), (2, -math.inf), (3, -1e-6)], is_top=False)
    array = found.logits([1, 2, 3], N_VOCAB)
    assert np.isfinite(array[[1, 2, 3]]).all()
    assert int(array.argmax()) == 3
