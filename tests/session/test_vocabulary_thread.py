"""A vocabulary loaded beside the weights: the same ids and bits, and wrong facts do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from texts import variations

from edgeguard import CancelledError, Guard, ModelError
from edgeguard.protocol.question import CONTROLS
from edgeguard.session import library
from edgeguard.session.interface import VocabularyFacts
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary_thread import VocabularyThread

MILD = "What is the capital of France?"


@pytest.fixture(scope="module")
def whole(nano_path: Path) -> Iterator[LlamaSession]:
    """A session whose model has its vocabulary."""
    with closing(LlamaSession(nano_path, settings=Settings(1))) as session:
        yield session


@pytest.fixture(scope="module")
def facts(whole: LlamaSession) -> VocabularyFacts:
    return whole.vocabulary_facts


def beside(path: Path, facts: VocabularyFacts, room: int = 0) -> LlamaSession:
    """A session whose vocabulary is loaded beside its weights."""
    with closing(VocabularyThread(path, facts, StopFlag())) as vocabulary:
        return LlamaSession(path, settings=Settings(1), vocabulary=vocabulary, room=room)


def assert_same(one: LlamaSession, other: LlamaSession) -> None:
    assert one.info == other.info
    assert one.end_tokens == other.end_tokens
    assert one.vocabulary_facts == other.vocabulary_facts
    for text in [*variations(100, seed=3), *(control.text for control in CONTROLS)]:
        ids = one.tokenize(text)
        assert ids == other.tokenize(text)
        assert [*map(one.token_bytes, ids)] == [*map(other.token_bytes, ids)]
        assert one.control_token(text) == other.control_token(text)


def logits(session: LlamaSession) -> bytes:
    return session.read(session.tokenize(MILD), room=0).astype(np.float32).tobytes()


@pytest.mark.parametrize("room", [0, 64, 512, 10**6])
def test_the_same_ids_and_bits(
    nano_path: Path, whole: LlamaSession, facts: VocabularyFacts, room: int
) -> None:
    with closing(beside(nano_path, facts, room)) as session:
        assert_same(whole, session)
        assert logits(whole) == logits(session)
        session.use(Settings(1, n_batch=64))
        assert len(logits(session)) == 4 * facts.size


@pytest.mark.parametrize("room", [0, 512])
@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "llama"},
        {"architecture": "x" * 1000},
        {"size": 1},
        {"size": 10**6},
        {"size": -1},
        {"special": ()},
        {"special": (0, 1, 2)},
        {"special": (10**9,)},
        {"special": (-1,)},
    ],
)
def test_wrong_facts_cost_time_alone(
    nano_path: Path,
    whole: LlamaSession,
    facts: VocabularyFacts,
    wrong: dict[str, object],
    room: int,
) -> None:
    believed = replace(facts, **wrong)  # type: ignore[arg-type]
    with closing(beside(nano_path, believed, room)) as session:
        assert_same(whole, session)
        assert logits(whole) == logits(session)


def test_a_file_that_is_none(tmp_path: Path, facts: VocabularyFacts) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + b"x" * 1000)
    with pytest.raises(ModelError, match=r"model\.gguf"):
        beside(file, facts)
    with (
        closing(VocabularyThread(file, facts, StopFlag())) as vocabulary,
        pytest.raises(ModelError, match="cannot read the vocabulary"),
    ):
        vocabulary.result()


def test_what_nobody_asked_for_is_freed(nano_path: Path, facts: VocabularyFacts) -> None:
    vocabulary = VocabularyThread(nano_path, facts, StopFlag())
    vocabulary.close()
    vocabulary.close()
    assert vocabulary._found is None


def test_a_load_that_is_cancelled_leaves_no_thread(nano_path: Path, facts: VocabularyFacts) -> None:
    flag = StopFlag()
    flag.set()
    with (
        closing(VocabularyThread(nano_path, facts, flag)) as vocabulary,
        pytest.raises(CancelledError),
    ):
        LlamaSession(nano_path, settings=Settings(1), vocabulary=vocabulary, flag=flag)
    assert not vocabulary._thread.is_alive()


def test_a_guard_loads_so_from_its_first_start_on(
    nano_path: Path, monkeypatch: pytest.MonkeyPatch, facts: VocabularyFacts
) -> None:
    """The first try has found the facts; with one core there is nobody to load beside."""
    begun: list[VocabularyFacts] = []
    load = library.load_vocabulary

    def counted(path: Path, flag: StopFlag) -> object:
        begun.append(facts)
        return load(path, flag)

    monkeypatch.setattr("edgeguard.session.vocabulary.load_vocabulary", counted)
    for cores, expected in ((2, 1), (1, 1)):
        monkeypatch.setattr("edgeguard.loading.usable_cores", lambda cores=cores: cores)
        with Guard(nano_path, threads=1) as guard:
            assert guard._model.get().vocabulary == facts
            assert guard.check(MILD).severity == "Safe"
        assert len(begun) == expected
