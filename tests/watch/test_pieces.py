"""Pieces cut anywhere give the text again, and a border is never inside a word or a character."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.errors import InputError
from edgeguard.watch.pieces import Pieces, is_sentence_end, word_end

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


def _cut(data: bytes | str, places: list[int]) -> list[bytes] | list[str]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]  # type: ignore[return-value]


@given(TEXT, st.lists(st.integers(0, 400), max_size=8))
def test_bytes_cut_anywhere_give_the_text(text: str, places: list[int]) -> None:
    pieces = Pieces()
    for piece in _cut(text.encode(), places):
        pieces.add(piece)
        assert text.startswith(pieces.text)
    pieces.end()
    assert pieces.text == text


@given(TEXT, st.lists(st.integers(0, 400), max_size=8))
def test_halves_of_utf_16_cut_anywhere_give_the_text(text: str, places: list[int]) -> None:
    """As JavaScript, Java and C# cut it."""
    units = text.encode("utf-16-le")
    halves = "".join(
        chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2)
    )
    pieces = Pieces()
    for piece in _cut(halves, places):
        pieces.add(piece)
    pieces.end()
    assert pieces.text == text


@pytest.mark.parametrize("piece", ["\ud83d!", "\ude00", b"\xff", b"\xc3(", 3, None])
def test_what_is_no_text_is_refused(piece: object) -> None:
    with pytest.raises(InputError):
        Pieces().add(piece)  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", ["a\ud83d", "é".encode()[:1]])
def test_a_text_that_ends_inside_a_character_is_refused(piece: str | bytes) -> None:
    pieces = Pieces()
    pieces.add(piece)
    with pytest.raises(InputError):
        pieces.end()


@given(TEXT, TEXT)
def test_a_border_stays_a_border_whatever_comes(text: str, more: str) -> None:
    place = word_end(text, 0)
    assert 0 <= place < max(1, len(text))
    if place:
        assert word_end(text + more, place - 1) >= place
        whole = not any(character.isspace() for character in text.strip())
        inside = text[place - 1].isalnum() and text[place].isalnum()
        assert whole or not inside or not text[place].isascii()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello wor", "Hello"),
        ("Hello ", "Hello"),
        ("Hello", "Hell"),  # there is no border
        ("昔々ある", "昔々あ"),
        ("cafe\u0301 au", "cafe\u0301"),
        ("a 👩\u200d👩", "a"),
    ],
)
def test_the_last_word_waits(text: str, shown: str) -> None:
    assert text[: word_end(text, 0)] == shown


def test_a_word_without_an_end_is_cut_between_characters() -> None:
    assert word_end("x" * 300, 0) == 299
    assert word_end("e\u0301" * 300, 0) == 598


def test_sentences_end_in_many_scripts() -> None:
    for text in ("So. A", "まで。ま", "क्या। क", "هل؟ ه", "So\n A"):
        assert any(is_sentence_end(text, place) for place in range(1, len(text)))
    assert not is_sentence_end("So it goes", 3)
    assert not is_sentence_end("1.5", 2)
