"""A growing text in NFC, with its places in what was given."""

from __future__ import annotations

import itertools
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from edgeguard.stream.text import GrowingText, segments

MARKED = st.text(alphabet="ab é\u0301\u0327\u0323가ᄀ\u1161\u11a8\u09c7\u09be🙂中\n", max_size=30)
TEXTS = st.one_of(st.text(max_size=30), MARKED)


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
