"""On the public sets, the fast way says what the plain one says.

Plain is a fresh context, one batch, no reuse, every token sampled under llama.cpp's grammar at
temperature 0. The fast way splits the question into other batches, so its numbers differ by what
that costs; a severity may only differ where the plain way itself is undecided.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain import PlainRun

from edgeguard import Guard
from edgeguard.conversation import read_messages
from edgeguard.protocol.grammar import gbnf
from edgeguard.protocol.messages import Message, mode_of

TOLERANCE = 0.02
"""How far a probability of nano at q8_0 moves with another split into batches, at most."""
MAX_CHARACTERS = 4000  # of a row: the plain way takes its time


def _rows(path: Path, number: int) -> Iterator[tuple[str, tuple[Message, ...]]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    step = max(1, len(rows) // number)
    for row in rows[::step][:number]:
        messages = read_messages(row["messages"]).messages
        if sum(len(message.content) for message in messages) <= MAX_CHARACTERS:
            yield row["id"], messages


def _compare(shared: Path, guard: Guard, plain: PlainRun, number: int) -> tuple[int, float]:
    """Rows compared, and the largest difference of a probability."""
    compared, worst = 0, 0.0
    for path in sorted((shared / "data" / "eval").glob("*.jsonl.gz")):
        for row, messages in _rows(path, number):
            answer, shares = plain.answer(messages, gbnf(mode_of(messages)))
            verdict = guard.check_messages(messages)
            fast = list(verdict.probabilities.values())
            worst = max(worst, *(abs(a - b) for a, b in zip(fast, shares)))
            undecided = sorted(shares)[-1] - sorted(shares)[-2] < TOLERANCE
            # Only the id is shown: the texts are harmful.
            assert verdict.answer == answer or undecided, row
            compared += 1
    return compared, worst


def test_some_rows_of_every_set(shared: Path, nano: Guard, nano_path: Path) -> None:
    compared, worst = _compare(shared, nano, PlainRun(nano_path), 6)
    assert compared > 50
    assert worst < TOLERANCE


@pytest.mark.slow
def test_many_rows_of_every_set(shared: Path, nano: Guard, nano_path: Path) -> None:
    compared, worst = _compare(shared, nano, PlainRun(nano_path), 200)
    assert compared > 1500
    assert worst < TOLERANCE
