"""What comes in, cut anywhere: whole characters, in NFC, with their places in what was given."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.errors import InputError
from edgeguard.stream.pieces import Pieces
from edgeguard.stream.text import GrowingText, segments

MARKED = st.text(alphabet="ab é\u0301\u0327\u0323가ᄀ\u1161\u11a8\u09c7\u09be🙂中\n", max_size=30)
TEXTS = st.one_of(st.text(max_size=30), MARKED)


@given(TEXTS, st.lists(st.integers(0, 200), max_size=8))
def test_bytes_cut_anywhere(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = Pieces()
    assert "".join(pieces.add(data[a:b]) for a, b in itertools.pairwise(edges)) == text
    pieces.end()


@given(TEXTS)
def test_strings_cut_between_the_halves_of_a_pair(text: str) -> None:
    """As JavaScript and Java cut them."""
    units = text.encode("utf-16-le")
    halves = [
        units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)
    ]
    pieces = Pieces()
    assert "".join(pieces.add(half) for half in halves) == text
    pieces.end()


@pytest.mark.parametrize(
    "parts",
    [
        [b"\xff"],
        [b"\xe2\x82", b"a"],
        ["\udc00"],
        ["\ud83d", "a"],
        ["\ud83d", b"a"],
        [b"\xe2", "a"],
        [7],
    ],
)
def test_what_is_no_text_is_refused_and_not_taken(parts: list[str | bytes]) -> None:
    pieces = Pieces()
    for part in parts[:-1]:
        pieces.add(part)
    for _ in range(2):
        with pytest.raises(InputError):
            pieces.add(parts[-1])


@pytest.mark.parametrize("part", ["a\ud83d", b"a\xe2\x82"])
def test_an_end_inside_a_character(part: str | bytes) -> None:
    pieces = Pieces()
    assert pieces.add(part) == "a"
    with pytest.raises(InputError, match="ends in the middle of a character"):
        pieces.end()


@given(TEXTS, st.lists(st.integers(0, 40), max_size=6))
def test_nfc_of_a_growing_text_is_that_of_the_whole(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    growing = GrowingText()
    parts = [growing.add(text[a:b]) for a, b in itertools.pairwise(edges)]
    nfc = "".join(parts) + growing.end()
    assert nfc == unicodedata.normalize("NFC", text.lstrip("\n"))
    assert growing.length == len(text)
    data = nfc.encode()
    places = [growing.place(byte) for byte in range(len(data) + 1)]
    assert places == sorted(places) and places[-1] == len(text)
    for byte in range(len(data) + 1):
        down, up = growing.place(byte), growing.place(byte, up=True)
        # What is before the place, in NFC, is exactly what is before the byte, or one part less.
        before = unicodedata.normalize("NFC", text[:down].lstrip("\n")).encode()
        assert data.startswith(before) and len(before) <= byte
        assert len(unicodedata.normalize("NFC", text[:up].lstrip("\n")).encode()) >= byte


@given(TEXTS)
def test_nfc_joins_nothing_across_segments(text: str) -> None:
    parts = segments(text)
    assert "".join(parts) == text
    normal = [unicodedata.normalize("NFC", part) for part in parts]
    assert "".join(normal) == unicodedata.normalize("NFC", text)


def test_every_character_that_nfc_joins_to_one_before_it_is_known() -> None:
    """By all compositions that this Python knows."""
    for code in range(sys.maxunicode + 1):
        whole = chr(code)
        if 0xD800 <= code <= 0xDFFF:
            continue
        parts = unicodedata.normalize("NFD", whole)
        if len(parts) > 1 and unicodedata.normalize("NFC", parts) == whole:
            assert len(segments(parts)) == 1, hex(code)
