"""What is computed ahead: the same answers as without, and nothing of a wrong guess stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeguard import Guard
from edgeguard.decoder import Decoder
from edgeguard.protocol.messages import Message
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.tokens import QuestionTokenizer

TOLERANCE = 0.5  # of a logit: what another split into batches makes of nano at q8_0


@pytest.fixture(scope="module")
def session(nano_path: Path) -> LlamaSession:
    return LlamaSession(nano_path, settings=Settings(1, n_batch=64))


@pytest.mark.parametrize("size", [100, 120, 126, 128, 130, 140, 192, 200])
@pytest.mark.parametrize("number", [1, 9, 40])
def test_both_logits_are_those_of_two_passes(session: LlamaSession, size: int, number: int) -> None:
    tokens = session.tokenize("a good day to walk by the river " * 40)[:size]
    ahead = session.tokenize("and to eat an apple under a tree " * 10)[:number]
    first = session.read(tokens, room=50)
    second = session.extend(ahead)
    session.free_contexts()
    assert np.abs(session.read(tokens, room=50, ahead=ahead) - first).max() < TOLERANCE
    assert np.abs(session.extend(ahead) - second).max() < TOLERANCE


def test_a_wrong_guess_leaves_nothing_behind(session: LlamaSession) -> None:
    tokens = session.tokenize("a good day to walk by the river " * 10)[:60]
    ahead, other = session.tokenize(" Safe")[:1], session.tokenize(" Unsafe")[:1]
    session.read(tokens, room=50)
    expected = session.extend(other)
    session.read(tokens, room=50, ahead=ahead)
    assert np.abs(session.extend(other) - expected).max() < TOLERANCE
    after = session.extend(ahead)
    session.free_contexts()
    session.read(tokens, room=50)
    session.extend(other)
    assert np.array_equal(session.extend(ahead), after)


def test_the_guess_is_the_safe_answer_up_to_the_refusal(nano: Guard) -> None:
    session = nano._model.get().session
    decoder = nano._model.get().decoder
    assert isinstance(decoder, Decoder)
    written = b"".join(map(session.token_bytes, decoder._ahead["response"])).decode()
    assert written == " Safe\nCategories: None\nRefusal:"
    assert decoder._ahead["prompt"] == ()


def test_a_safe_response_takes_one_pass(nano: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    session = nano._model.get().session
    assert isinstance(session, LlamaSession)
    question = QuestionTokenizer(session).question(
        (Message("user", "What is a good soup?"), Message("assistant", "Pumpkin soup."))
    )
    nano._model.get().decoder.decode(question)
    passes: list[int] = []
    assert session._reading is not None
    context = session._reading.context
    decode = context._decode

    def counted(tokens: list[int], **how: tuple[int, ...]) -> None:
        passes.append(len(tokens))
        decode(tokens, **how)

    monkeypatch.setattr(context, "_decode", counted)
    assert nano._model.get().decoder.decode(question).answer.severity == "Safe"
    assert len(passes) == 1
