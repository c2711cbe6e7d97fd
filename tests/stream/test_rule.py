"""The authors' rule over labels, held against their loop written out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.protocol.names import CONTROVERSIAL, SAFE, SEVERITIES, UNSAFE, Severity
from edgeguard.stream.interface import TokenLabel
from edgeguard.stream.rule import Summary

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
    assert Summary(labels(text)).severity == said


@given(st.text(alphabet="suc", max_size=30))
def test_it_is_the_loop_of_the_authors_evaluation(text: str) -> None:
    pairs = [a + b for a, b in pairwise(text)]
    said = UNSAFE if "uu" in pairs else CONTROVERSIAL if "cc" in pairs else SAFE
    assert Summary(labels(text)).severity == said


@given(st.text(alphabet="suc", max_size=30))
def test_one_token_suffices_where_asked(text: str) -> None:
    said = UNSAFE if "u" in text else CONTROVERSIAL if "c" in text else SAFE
    assert Summary(labels(text), in_a_row=1).severity == said


def test_what_speaks_for_a_text() -> None:
    text = [*labels("scc", 0.99), *labels("suu", 0.6), *labels("suu", 0.8), *labels("su", 0.9)]
    text[7] = labels("u", 0.7)[0]
    decided = Summary(text).deciding
    assert decided is not None and max(decided.probabilities) == pytest.approx(0.7)
    assert Summary([]).deciding is None
    nearest = Summary([*labels("s", 0.9), *labels("su", 0.4), *labels("s", 0.99)]).deciding
    assert nearest is not None and nearest.probabilities[0] == pytest.approx(0.4)


def test_the_categories_are_of_what_counts() -> None:
    assert Summary(labels("sss")).categories == Summary(labels("susc")).categories == ()
    assert Summary(labels("suu")).categories == (0,)
    controversial = [replace(label, categories=(0.1, 0.8, 0.1)) for label in labels("cc")]
    assert Summary([*controversial, *labels("suu")]).categories == (0, 1)


@given(st.text(alphabet="suc", max_size=20), st.lists(st.floats(0.4, 1), min_size=20, max_size=20))
def test_what_speaks_for_it_by_its_definition(text: str, shares: list[float]) -> None:
    """Written out once more, over the whole list: all rows that may decide, and the mildest."""
    found = [labels(letter, share)[0] for letter, share in zip(text, shares)]
    for in_a_row in (1, 2, 3):
        summary = Summary(found, in_a_row)
        rows = [found[at : at + in_a_row] for at in range(max(1, len(found) - in_a_row + 1))]
        if summary.severity != SAFE:
            rows = [
                row
                for row in rows
                if len(row) == in_a_row and {one.severity for one in row} == {summary.severity}
            ]
        best = max((max(one.probabilities[0] for one in row) for row in rows if row), default=None)
        best = min((max(one.probabilities[0] for one in row) for row in rows if row), default=best)
        decided = summary.deciding
        assert (decided is None) == (not found)
        if decided is not None:
            assert decided.probabilities[0] == best
