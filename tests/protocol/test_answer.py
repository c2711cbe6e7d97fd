"""The answer language: what is in it, what is not, and that the grammar prints the same one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.protocol.answer import END, START, Answer, options, parse, write
from edgeguard.protocol.grammar import gbnf
from edgeguard.protocol.names import MODES, REFUSALS, SAFE, SEVERITIES, Mode, categories


@st.composite
def answers(draw: st.DrawFn) -> tuple[Mode, Answer]:
    mode = draw(st.sampled_from(MODES))
    severity = draw(st.sampled_from(SEVERITIES))
    names = draw(st.lists(st.sampled_from(categories(mode)), unique=True))
    refusal = None if mode == "prompt" else draw(st.sampled_from(REFUSALS))
    return mode, Answer(severity, () if severity == SAFE else tuple(names), refusal)


@given(answers())
def test_what_is_written_is_read_again(case: tuple[Mode, Answer]) -> None:
    mode, answer = case
    assert parse(mode, write(answer)) == answer


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("prompt", ""),
        ("prompt", "Safety: Safe"),
        ("prompt", "Safety: Safe\nCategories: None\n"),
        ("prompt", "Safety: Safe\nCategories: PII"),
        ("prompt", "Safety: Unsafe\nCategories: PII, PII"),
        ("prompt", "Safety: Unsafe\nCategories: PII,Violent"),
        ("prompt", "Safety: Unsafe\nCategories: None, PII"),
        ("prompt", "Safety: unsafe\nCategories: PII"),
        ("prompt", "Safety: Safe\nCategories: None\nRefusal: No"),
        ("response", "Safety: Safe\nCategories: None"),
        ("response", "Safety: Unsafe\nCategories: Jailbreak\nRefusal: No"),
    ],
)
def test_nothing_else_is_an_answer(mode: Mode, text: str) -> None:
    with pytest.raises(ValueError, match="not an answer"):
        parse(mode, text)


@pytest.mark.parametrize("mode", MODES)
def test_the_grammar_has_a_rule_for_every_state_and_no_underscore(mode: Mode) -> None:
    rules = dict(line.split(" ::= ", 1) for line in gbnf(mode).splitlines())
    # Every non-empty set of named categories, and root, category, and refusal for responses.
    assert len(rules) == 2 ** len(categories(mode)) - 1 + (2 if mode == "prompt" else 3)
    assert not any("_" in name for name in rules)
    used = {word for body in rules.values() for word in body.split('"')[2::2]}
    names = {word.strip(" |") for word in used} - {""}
    assert names <= set(rules)


@pytest.mark.parametrize("mode", MODES)
def test_a_random_walk_of_the_language_is_always_read_back(mode: Mode) -> None:
    chance = random.Random(1)
    for _ in range(500):
        state, text = START, ""
        while state != END:
            option = chance.choice(options(mode, state))
            text, state = text + option.text, option.after
        assert write(parse(mode, text)) == text
