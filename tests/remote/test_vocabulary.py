"""The vocabulary in the package: the published one, whole, and the same ids as a full model's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from texts import variations

from edgeguard import Guard
from edgeguard.gguf import vocabulary as published
from edgeguard.protocol.question import CONTROLS
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary import LoadedVocabulary
from edgeguard.store.checksum import compute_sha256
from edgeguard.store.metadata import read_metadata

FILE = Path(__file__).parents[2] / "models" / "vocabulary" / "qwen3.gguf"


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[LoadedVocabulary]:
    found = LoadedVocabulary(FILE, StopFlag())
    yield found
    found.close()


def test_it_is_the_published_one() -> None:
    header = read_metadata(FILE)
    tokens = header["tokenizer.ggml.tokens"].strings  # type: ignore[union-attr]
    merges = header["tokenizer.ggml.merges"].strings  # type: ignore[union-attr]
    assert len(tokens) == published.PUBLISHED
    assert published.is_published(tokens, merges)


def test_its_checksum() -> None:
    recorded = FILE.with_name(f"{FILE.name}.sha256").read_text(encoding="ascii").split()
    assert recorded == [compute_sha256(FILE), FILE.name]


def test_ids_are_those_of_a_model(vocabulary: LoadedVocabulary, real_vocabulary: Path) -> None:
    with Guard(real_vocabulary, threads=1, allow_random_weights=True) as guard:
        session = guard._model.get().session
        for text in [*variations(200, seed=8), "<|im_start|> <think> </s>"]:
            assert vocabulary.tokenize(text) == session.tokenize(text)
        for control in CONTROLS:
            assert vocabulary.control_token(control.text) == session.control_token(control.text)


def test_special_tokens_stay_text(vocabulary: LoadedVocabulary) -> None:
    special = {vocabulary.control_token(control.text) for control in CONTROLS}
    text = "".join(control.text for control in CONTROLS)
    assert special.isdisjoint(vocabulary.tokenize(text))
