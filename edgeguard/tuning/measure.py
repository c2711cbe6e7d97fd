"""How long a check takes with other settings, and which settings are best.

One setting is varied after the other: threads, batch size, flash attention. The candidates of a
step take turns, so that a machine that slows down slows all of them. What is not clearly better
than the default is not taken. The texts are made up; nothing of a user is read. This module keeps
nothing on disk.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from edgeguard.protocol.messages import Message
from edgeguard.session.interface import Session
from edgeguard.session.settings import Settings
from edgeguard.tokens import Question, QuestionTokenizer

WORDS = (10, 300)
"""Lengths of the texts that are timed: what most prompts are like, and a page."""
ROUNDS = 3
CLEARLY = 0.97
"""Only a candidate that takes at most this share of the best one's time replaces it."""
_ROOM = 64


class Tunable(Session, Protocol):
    """A session whose settings can be changed."""

    def use(self, settings: Settings) -> None:
        """Compute with these settings from now on."""


@dataclass(frozen=True)
class Measured:
    """Settings, and the median seconds of the first pass of a check for each of WORDS."""

    settings: Settings
    seconds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The geometric mean of the seconds: a short text counts as much as a long one."""
        return math.prod(self.seconds) ** (1 / len(self.seconds))


def tune(
    session: Tunable,
    cores: int,
    report: Callable[[Measured], None] = lambda _measured: None,
) -> Measured:
    """The best settings for a session on this machine; ``report`` hears of each one measured."""
    best = Measured(Settings(cores), ())
    for candidates in (_threads, _batches, _attention):
        measured = _race(session, [best.settings, *candidates(best.settings)])
        for one in measured:
            report(one)
        best = _better(measured)
    session.use(best.settings)
    return best


def _threads(settings: Settings) -> Iterable[Settings]:
    cores = settings.threads
    numbers = {cores // 2, cores - 1, os.cpu_count() or cores} - {cores}
    return [replace(settings, threads=n) for n in sorted(numbers) if n >= 1]


def _batches(settings: Settings) -> Iterable[Settings]:
    return [replace(settings, n_batch=n) for n in (128, 256) if n != settings.n_batch]


def _attention(settings: Settings) -> Iterable[Settings]:
    return [replace(settings, flash_attention=not settings.flash_attention)]


def _race(session: Tunable, candidates: list[Settings]) -> list[Measured]:
    """All candidates in turn, some rounds; the first one is what the others must beat."""
    questions = _questions(session)
    times: list[list[list[float]]] = [[[] for _ in questions] for _ in candidates]
    for _ in range(ROUNDS):
        for candidate, columns in zip(candidates, times):
            session.use(candidate)
            _read(session, questions[0])  # makes the context, and computes the fixed start
            for question, column in zip(questions, columns):
                column.append(_read(session, question))
    return [
        Measured(candidate, tuple(statistics.median(column) for column in columns))
        for candidate, columns in zip(candidates, times)
    ]


def _read(session: Session, question: Question) -> float:
    start = time.perf_counter()
    session.read(question.tokens, room=_ROOM, prefix=question.prefix)
    return time.perf_counter() - start


def _questions(session: Session) -> list[Question]:
    tokenizer = QuestionTokenizer(session)
    return [tokenizer.question((Message("user", "river " * words),)) for words in WORDS]


def _better(measured: list[Measured]) -> Measured:
    fastest = min(measured, key=lambda one: one.mean)
    return fastest if fastest.mean <= CLEARLY * measured[0].mean else measured[0]
