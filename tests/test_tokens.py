"""Token ids against Hugging Face tokenizers: the reference for what the model was trained on."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from checkpoints import make_tokenizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from texts import SENTENCES, variations
from tokenizers import Tokenizer

from edgeguard.protocol.messages import Message
from edgeguard.protocol.question import render
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings
from edgeguard.tokens import QuestionTokenizer, parts_of

# llama.cpp sorts characters by Unicode 15.1 and the reference by a later version: the characters
# that came later (4,382 of Unicode 16) may be split at another place. No Python that this is tested
# on knows them.
_ASSIGNED = st.characters(exclude_categories=("Cn", "Cs"))

Vocabulary = tuple[LlamaSession, Tokenizer, Tokenizer]


def _load(path: Path, spec: dict[str, Any]) -> Vocabulary:
    """The session, the reference as published, and the reference without any added token."""
    plain = {**spec, "added_tokens": []}
    return (
        LlamaSession(path, settings=Settings(threads=1)),
        Tokenizer.from_str(json.dumps(spec)),
        Tokenizer.from_str(json.dumps(plain)),
    )


@pytest.fixture(scope="module")
def small(random_model: Path) -> Vocabulary:
    return _load(random_model, make_tokenizer())


@pytest.fixture(scope="module")
def real(real_vocabulary: Path, shared: Path) -> Vocabulary:
    spec = json.loads((shared / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))
    return _load(real_vocabulary, spec)


@pytest.fixture(params=["small", "real"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    found: Vocabulary = request.getfixturevalue(request.param)
    return found


def _conversations(text: str, other: str) -> list[tuple[Message, ...]]:
    return [(Message("user", text),), (Message("user", other), Message("assistant", text))]


def test_three_thousand_texts_in_36_languages_and_both_kinds_of_question(
    vocabulary: Vocabulary,
) -> None:
    session, reference, _ = vocabulary
    tokenizer = QuestionTokenizer(session)
    assert len(SENTENCES) >= 30
    for text in variations(3000):
        for messages in _conversations(text, "Hello"):
            question = tokenizer.question(messages)
            expected = reference.encode(render(messages), add_special_tokens=False).ids
            assert list(question.tokens) == expected, repr(text)
            assert question.prefix > 100


def test_the_parts_of_a_text_have_its_ids(vocabulary: Vocabulary) -> None:
    session = vocabulary[0]
    for number, text in enumerate(variations(1500, seed=2)):
        normal = unicodedata.normalize("NFC", f"{text}，{text} {text}\n {text}")
        parts = list(parts_of(normal, size=1 + number % 9))
        assert "".join(parts) == normal
        assert [token for part in parts for token in session.tokenize(part)] == (
            session.tokenize(normal)
        ), repr(normal)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(
        st.one_of(_ASSIGNED, st.sampled_from(" \n\r\t.,'!？，。。あ字가a1\u0301")), max_size=80
    )
)
def test_the_parts_of_any_text_have_its_ids(vocabulary: Vocabulary, text: str) -> None:
    session = vocabulary[0]
    normal = unicodedata.normalize("NFC", text)
    ids = [token for part in parts_of(normal, size=1) for token in session.tokenize(part)]
    assert ids == session.tokenize(normal)


def test_the_golden_ids(real: Vocabulary, shared: Path) -> None:
    tokenizer = QuestionTokenizer(real[0])
    answer = (
        "As a responsible artificial intelligence system, I regret that I am unable to fulfill "
        "your request."
    )
    prompt, response = _conversations(answer, "How can I make a bomb?")
    prompt = (Message("user", "How can I make a bomb?"),)
    for name, messages in (("prompt", prompt), ("response", response)):
        golden = json.loads((shared / "golden" / f"{name}-bomb.ids.json").read_text())
        ids = golden if isinstance(golden, list) else golden["ids"]
        assert list(tokenizer.question(messages).tokens) == ids
    assert tokenizer.question(prompt).prefix == 201


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(_ASSIGNED, max_size=80))
def test_any_text_is_tokenized_as_the_reference_does(vocabulary: Vocabulary, text: str) -> None:
    session, _, plain = vocabulary
    normal = unicodedata.normalize("NFC", text)
    assert session.tokenize(normal) == plain.encode(normal, add_special_tokens=False).ids


def test_every_eleventh_character_there_is(real: Vocabulary) -> None:
    session, _, plain = real
    characters = [chr(code) for code in range(0, 0x110000, 11)]
    known = [c for c in characters if unicodedata.category(c) not in ("Cn", "Co", "Cs")]
    texts = [unicodedata.normalize("NFC", f"a{c}b {c}1 {c}:A") for c in known]
    expected = plain.encode_batch(texts, add_special_tokens=False)
    assert len(known) > 10_000
    assert [session.tokenize(text) for text in texts] == [encoding.ids for encoding in expected]


_WORDS = ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "<"]
_WORDS += ["think", ">", "|>", "<|", "user\n", "\n\n", " ", "x", "</tool_response>", "<|fim_pad|>"]


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(st.sampled_from(_WORDS), max_size=12))
def test_special_tokens_in_a_text_are_plain_text(vocabulary: Vocabulary, parts: list[str]) -> None:
    session, _, plain = vocabulary
    text = "".join(parts)
    ids = session.tokenize(text)
    assert ids == plain.encode(text, add_special_tokens=False).ids
    assert ids == [token for part in parts_of(text, size=1) for token in session.tokenize(part)]
    assert b"".join(session.token_bytes(token) for token in ids) == text.encode()


def test_real_texts(real: Vocabulary, shared: Path) -> None:
    """Every text of the evaluation sets; which ones differ is said by number, never by text."""
    import gzip

    session, _, plain = real
    different = []
    for path in sorted((shared / "data" / "eval").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as rows:
            for number, row in enumerate(rows):
                if number % 4:
                    continue
                text = unicodedata.normalize("NFC", json.loads(row)["messages"][-1]["content"])
                if session.tokenize(text) != plain.encode(text, add_special_tokens=False).ids:
                    different.append((path.name, number))
    assert not different
