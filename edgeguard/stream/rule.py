"""From the labels of tokens to a severity: the rule of the authors' evaluation.

A response is Unsafe when two tokens in a row are Unsafe, else Controversial when two in a row are
Controversial, else Safe. A pair of one and the other counts for nothing: the report reads as if it
did, and the authors' program (eval_stream.py), whose figures are the published ones, does not.

This module knows no text and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, SEVERITIES, UNSAFE, Severity
from edgeguard.stream.interface import TokenLabel


def severity(labels: Sequence[TokenLabel], in_a_row: int = IN_A_ROW) -> Severity:
    """What the labels amount to."""
    found = {labels[first].severity for first, _ in runs(labels, in_a_row)}
    return next((one for one in (UNSAFE, CONTROVERSIAL) if one in found), SAFE)


def runs(labels: Sequence[TokenLabel], in_a_row: int = IN_A_ROW) -> list[tuple[int, int]]:
    """Runs of one severity other than Safe that are long enough: first token, and the one after."""
    return [run for run in _runs(labels) if run[1] - run[0] >= in_a_row]


def deciding(labels: Sequence[TokenLabel], in_a_row: int = IN_A_ROW) -> TokenLabel | None:
    """The token whose probabilities speak for the text; None where there is no token.

    Of all tokens in a row that may decide, the worst, and of these the mildest: a text is no worse
    than it. Of what is Safe, all may; of the rest, those that make it so.
    """
    said = severity(labels, in_a_row)
    where = [run for run in runs(labels, in_a_row) if labels[run[0]].severity == said]
    where = where or [(0, max(len(labels), in_a_row))]
    rows = [
        labels[at : at + in_a_row]
        for first, end in where
        for at in range(first, end - in_a_row + 1)
    ]
    nearest = [min(row, key=_harm) for row in rows if row]
    return max(nearest, key=_harm, default=None)


def categories(labels: Sequence[TokenLabel], in_a_row: int = IN_A_ROW) -> tuple[int, ...]:
    """The categories of the runs that count, by their indices: those of Unsafe ones first.

    Of a run, those that so many tokens in a row are of; else the one that is likeliest in all.
    """
    found = sorted(runs(labels, in_a_row), key=lambda run: labels[run[0]].severity != UNSAFE)
    named = (_categories(labels[first:end], in_a_row) for first, end in found)
    return tuple(dict.fromkeys(category for each in named for category in each))


def _categories(run: Sequence[TokenLabel], in_a_row: int) -> list[int]:
    each = groupby(_likeliest(label.categories) for label in run)
    found = [category for category, group in each if len(list(group)) >= in_a_row]
    return found or [_likeliest([sum(shares) for shares in zip(*(x.categories for x in run))])]


def _likeliest(shares: Sequence[float]) -> int:
    return max(range(len(shares)), key=shares.__getitem__)


def _runs(labels: Sequence[TokenLabel]) -> list[tuple[int, int]]:
    found, at = [], 0
    for said, group in groupby(labels, key=lambda label: label.severity):
        size = sum(1 for _ in group)
        if said != SAFE:
            found.append((at, at + size))
        at += size
    return found


def _harm(label: TokenLabel) -> float:
    return 1.0 - label.probabilities[SEVERITIES.index(SAFE)]
