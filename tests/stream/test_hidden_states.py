"""Hidden states of a real context: cut back, in chunks, stopped, and never more than it bears."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeguard.errors import CancelledError, SessionError
from edgeguard.session.hidden_states import OUTPUTS, HiddenStates
from edgeguard.session.library import lib
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

IDS = [(7 * place) % 500 for place in range(900)]


@pytest.fixture(scope="module")
def session(stream_file: Path) -> Iterator[LlamaSession]:
    session = LlamaSession(stream_file, settings=Settings(threads=1))
    yield session
    session.close()


@pytest.fixture
def states(session: LlamaSession) -> Iterator[HiddenStates]:
    states = session.hidden_states()
    yield states
    states.free()


@pytest.mark.parametrize("count", [1, OUTPUTS - 1, OUTPUTS, OUTPUTS + 1, 10 * OUTPUTS + 3])
def test_any_number_of_states(states: HiddenStates, count: int) -> None:
    """One more output than a context was told of would end the process."""
    found = states.read(IDS[:count], 0)
    assert found.shape == (count, 256) and np.isfinite(found).all()


def test_what_is_shared_is_not_computed_again(states: HiddenStates) -> None:
    states.read(IDS[:200], 150)
    assert states.computed == 200
    states.read(IDS[:210], 200)
    assert states.computed == 210
    states.read(IDS[:205], 204)  # back, for one state
    assert states.computed == 211
    states.read([*IDS[:100], 9, *IDS[101:120]], 110)
    assert states.computed == 231


def test_the_same_states_in_any_chunks(session: LlamaSession, states: HiddenStates) -> None:
    whole = states.read(IDS[:300], 0)
    other = session.hidden_states()
    parts = [other.read(IDS[:end], end - 5) for end in range(5, 301, 5)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=0.02 * whole.std())
    other.free()


def test_leaving_out_the_vocabularys_matrix_changes_no_bit(session: LlamaSession) -> None:
    with_cut, without = session.hidden_states(), session.hidden_states()
    assert with_cut._ends is not None
    without._ends = None
    np.testing.assert_array_equal(with_cut.read(IDS[:80], 20), without.read(IDS[:80], 20))
    with_cut.free()
    without.free()


def test_it_grows_and_keeps_what_it_holds(states: HiddenStates) -> None:
    states.read(IDS[:400], 399)
    before = states.n_ctx
    states.read(IDS[:900], 899)
    assert states.n_ctx > before and states.computed == 900
    with pytest.raises(SessionError, match="do not fit"):
        states.read(IDS * 2, 0)


def test_places_that_are_none(states: HiddenStates) -> None:
    for tokens, first in (([], 0), ([1], 2), ([1], -1)):
        with pytest.raises(SessionError, match="no place"):
            states.read(tokens, first)


def test_a_computation_that_was_stopped_is_done_again(
    session: LlamaSession, states: HiddenStates
) -> None:
    whole = states.read(IDS[:60], 0)
    session.flag.set()
    with pytest.raises(CancelledError):
        states.read(IDS[:500], 60)
    session.flag.clear()
    np.testing.assert_allclose(states.read(IDS[:60], 0), whole, atol=0.02 * whole.std())


def test_closing_the_session_frees_what_is_open(stream_file: Path) -> None:
    session = LlamaSession(stream_file, settings=Settings(threads=1))
    states = session.hidden_states()
    states.read(IDS[:10], 0)
    session.close()
    assert states.n_ctx == 0


def test_a_pass_can_be_stopped_in_its_middle(
    session: LlamaSession, states: HiddenStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flag comes up between two nodes of the graph, where the library asks for it."""
    decode = lib.llama_decode

    def decode_late(context: object, batch: object) -> object:
        session.flag.set()  # after our own look at it
        return decode(context, batch)

    states.read(IDS[:100], 99)
    monkeypatch.setattr(lib, "llama_decode", decode_late)
    with pytest.raises(CancelledError):
        states.read(IDS[:120], 100)
    monkeypatch.undo()
    session.flag.clear()
    before = states.computed
    states.read(IDS[:120], 119)
    assert states.computed == before + 120  # nothing of the broken pass is trusted
