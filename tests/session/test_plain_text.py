"""Texts handed over in parts are the same texts, and no part holds a word whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeguard.session.plain_text import PlainText

WORDS = ["<think>", "</think>", "<tool_call>", "aa", "<<", ""]


@given(st.lists(st.sampled_from([*WORDS, "<", "think", ">", "a", " "]), max_size=20))
def test_no_part_holds_a_word(parts: list[str]) -> None:
    text = "".join(parts)
    pieces = PlainText(WORDS).parts(text)
    assert "".join(pieces) == text
    assert not [word for word in WORDS if word and any(word in piece for piece in pieces)]


def test_a_text_without_such_words_stays_whole() -> None:
    assert PlainText(["<think>"]).parts("a < think > b") == ["a < think > b"]
    assert PlainText([]).parts("<think>") == ["<think>"]


def test_the_cut_is_where_the_pre_tokenizer_cuts_too() -> None:
    assert PlainText(["<think>"]).parts("x<think>y") == ["x<think", ">y"]
