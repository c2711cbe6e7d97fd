"""Many questions at a time: each answer is decoded by itself, all compute in common passes.

As many questions are in flight as the session has sequences and room for. One that is answered
makes place for the next at once, so the short passes of an answer are computed beside the tokens
of new questions, where they cost next to nothing.

The numbers depend in late digits on what else is in flight; which answer belongs to whom does not.
This module reads no row, knows no policy, and does not touch llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeguard.answer_writer import Passes
from edgeguard.decoder import Decoded, Decoder
from edgeguard.errors import EdgeguardError
from edgeguard.session.interface import Extend, Read, Sequences
from edgeguard.tokens import Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 128
"""Tokens behind the prefix of a question that gains by company on a CPU: some thirty words and what
follows them. Longer ones fill passes alone, and looking past each other's cells costs them more
than sharing saves (benchmarks/throughput.py)."""
LONGEST_ELSEWHERE = 384
"""The same on an accelerator or a server, which one text does not fill."""


@dataclass
class _Walk:
    """A question on its way to its answer."""

    question: Question
    passes: Passes[Decoded]
    asked: Read | Extend


class Together:
    """Answers questions side by side, with one decoder. ``close`` gives its sequences back."""

    def __init__(self, decoder: Decoder, sequences: Sequences) -> None:
        self._decoder = decoder
        self._sequences = sequences
        self._walks: dict[int, _Walk] = {}

    @property
    def in_flight(self) -> list[Question]:
        """The questions that are being answered."""
        return [walk.question for walk in self._walks.values()]

    def add(self, question: Question, *, categories: bool) -> bool:
        """Have a question answered from the next step on; False: there is no room for it now."""
        behind = len(question.tokens) - question.prefix
        number = self._sequences.take(behind + self._decoder.room)
        if number is None:
            return False
        passes = self._decoder.passes(question, categories=categories)
        self._walks[number] = _Walk(question, passes, next(passes))
        return True

    def step(self) -> list[tuple[Question, Decoded | EdgeguardError]]:
        """Compute what every question needs next; those that are through, in the order added.

        An error is of that question alone. Raises SessionError, CancelledError: nothing is in
        flight then.
        """
        walks = dict(self._walks)
        try:
            found = self._sequences.compute({n: walk.asked for n, walk in walks.items()})
        except BaseException:
            self.close()
            raise
        done: list[tuple[Question, Decoded | EdgeguardError]] = []
        for number, walk in walks.items():
            outcome = _advance(walk, found[number])
            if outcome is not None:
                self._end(number)
                done.append((walk.question, outcome))
        return done

    def close(self) -> None:
        """Give up whatever is in flight."""
        for number in list(self._walks):
            self._end(number)

    def _end(self, number: int) -> None:
        del self._walks[number]
        self._sequences.give(number)


def is_short(question: Question, device: str) -> bool:
    """Whether a question gains by being asked together with others."""
    longest = LONGEST if device == "cpu" else LONGEST_ELSEWHERE
    return len(question.tokens) - question.prefix <= longest


def _advance(walk: _Walk, logits: NDArray[np.float32]) -> Decoded | EdgeguardError | None:
    """Send a walk its logits; what came of it, or None if it asks for more."""
    try:
        walk.asked = walk.passes.send(logits)
    except StopIteration as end:
        decoded: Decoded = end.value
        return decoded
    except EdgeguardError as error:
        return error
    return None
