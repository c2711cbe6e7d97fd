"""The authors' rule over labels, held against their loop written out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.protocol.names import CONTROVERSIAL, SAFE, SEVERITIES, UNSAFE, Severity
from edgeguard.stream import rule
from edgeguard.stream.interface import TokenLabel

LETTERS: dict[str, Severity] = {"s": SAFE, "u": UNSAFE, "c": CONTROVERSIAL}


def labels(text: str, share: float = 0.8) -> list[TokenLabel]:
    found = []
    for place, letter in enumerate(text):
        said = LETTERS[letter]
        shares = tuple(share if one == said else (1 - share) / 2 for one in SEVERITIES)
        found.append(TokenLabel(place, place + 1, said, shares, (0.5, 0.3, 0.2)))
    return found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", SAFE),
        ("u", SAFE),
        ("sss", SAFE),
        ("susus", SAFE),
        ("suu", UNSAFE),
        ("scc", CONTROVERSIAL),
        ("ccsuu", UNSAFE),
        ("uuscc", UNSAFE),
        ("ucuc", SAFE),  # mixed pairs count for nothing, unlike in the report's words
        ("scuus", UNSAFE),
    ],
)
def test_severity(text: str, said: Severity) -> None:
    assert rule.severity(labels(text)) == said


@given(st.text(alphabet="suc", max_size=30))
def test_it_is_the_loop_of_the_authors_evaluation(text: str) -> None:
    pairs = [a + b for a, b in pairwise(text)]
    said = UNSAFE if "uu" in pairs else CONTROVERSIAL if "cc" in pairs else SAFE
    assert rule.severity(labels(text)) == said


@given(st.text(alphabet="suc", max_size=30))
def test_one_token_suffices_where_asked(text: str) -> None:
    said = UNSAFE if "u" in text else CONTROVERSIAL if "c" in text else SAFE
    assert rule.severity(labels(text), in_a_row=1) == said


def test_what_speaks_for_a_text() -> None:
    text = [*labels("scc", 0.99), *labels("suu", 0.6), *labels("suu", 0.8), *labels("su", 0.9)]
    text[7] = labels("u", 0.7)[0]
    decided = rule.deciding(text)
    assert decided is not None and max(decided.probabilities) == pytest.approx(0.7)
    assert rule.deciding([]) is None
    nearest = rule.deciding([*labels("s", 0.9), *labels("su", 0.4), *labels("s", 0.99)])
    assert nearest is not None and nearest.probabilities[0] == pytest.approx(0.4)


def test_the_categories_are_of_what_counts() -> None:
    assert rule.categories(labels("sss")) == rule.categories(labels("susc")) == ()
    assert rule.categories(labels("suu")) == (0,)
    controversial = [replace(label, categories=(0.1, 0.8, 0.1)) for label in labels("cc")]
    assert rule.categories([*controversial, *labels("suu")]) == (0, 1)
