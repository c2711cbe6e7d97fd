"""How long a check takes with other weights and settings, and which are best.

One setting is varied after the other: threads, batch size, flash attention, then how many texts
share a pass. The candidates of a step take turns, so that a machine that slows down slows all of
them; the last race is that of the best against the defaults. What is not clearly better than the
default is not taken. Before them ``computes_plain`` measures whether plain weights are faster than
those that llama.cpp rearranges, and ``loads_plain`` whether a process that judges little does
better with them all the same. The texts are made up; nothing of a user is read. This module keeps
nothing on disk.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from edgeguard.protocol.messages import Message
from edgeguard.session.interface import Extend, Read, Session
from edgeguard.session.settings import Settings
from edgeguard.tokens import Question, QuestionTokenizer

WORDS = (10, 300)
"""Lengths of the texts that are timed: what most prompts are like, and a page."""
ROUNDS = 3
CLEARLY = 0.97
"""Only a candidate that takes at most this share of the best one's time replaces it."""
_ROOM = 64
_TEXTS = 16


class Tunable(Session, Protocol):
    """A session whose settings can be changed."""

    def use(self, settings: Settings) -> None:
        """Compute with these settings from now on."""


@dataclass(frozen=True)
class Measured:
    """Settings, and median seconds: of the first pass of a check for each of WORDS, or, where
    ``together``, for each of several short texts that share passes."""

    settings: Settings
    seconds: tuple[float, ...]
    together: bool = False

    @property
    def mean(self) -> float:
        """The geometric mean of the seconds: a short text counts as much as a long one."""
        return math.prod(self.seconds) ** (1 / len(self.seconds))


@dataclass(frozen=True)
class Tuned:
    """The best settings, and how many times as fast as the defaults they are: a check alone, and a
    text among several. 1 where the defaults are best."""

    best: Measured
    alone: float
    together: float


@dataclass(frozen=True)
class Plain:
    """How many times as fast as rearranged weights plain ones are: a check alone, and a text among
    several."""

    alone: float
    together: float

    @property
    def is_faster(self) -> bool:
        """Whether a process that judges much shall have them."""
        return _is_clear(self.alone, self.together)


def tune(
    session: Tunable,
    cores: int,
    report: Callable[[Measured], None] = lambda _measured: None,
) -> Tuned:
    """The best settings for a session on this machine; ``report`` hears of each one measured."""
    best = Measured(Settings(cores), ())
    for candidates in (_threads, _batches, _attention):
        best = _best(_race, session, [best.settings, *candidates(best.settings)], report)
    wide = _best(_race_together, session, _sequences(best.settings), report)
    found = _confirmed(session, cores, replace(best, settings=wide.settings))
    session.use(found.best.settings)
    return found


def _confirmed(session: Tunable, cores: int, found: Measured) -> Tuned:
    """The settings found, if they win a last race against the defaults; else the defaults."""
    default = Settings(cores)
    if found.settings == default:
        return Tuned(found, 1.0, 1.0)
    pair = [(session, default), (session, found.settings)]
    before, after = _race(pair)
    alone, together = before.mean / after.mean, _gain(_race_together, pair)
    # Each step may have been won by chance, on a machine whose speed varies.
    return Tuned(after, alone, together) if _is_clear(alone, together) else Tuned(before, 1.0, 1.0)


def _is_clear(alone: float, together: float) -> bool:
    """Whether one of two gains is clear, and the other no clear loss."""
    return max(alone, together) >= 1 / CLEARLY and min(alone, together) >= CLEARLY


def computes_plain(rearranged: Tunable, plain: Tunable, settings: Settings) -> Plain:
    """How plain weights do against rearranged ones, both loaded."""
    both = [(rearranged, settings), (plain, settings)]
    return Plain(_gain(_race, both), _gain(_race_together, both))


def loads_plain(make: Callable[[bool], Tunable], settings: Settings) -> tuple[bool, list[float]]:
    """Whether plain weights are faster for a process that loads the file and judges a short text.

    ``make`` loads it, plain or not. Also the median seconds of both: not plain, plain.
    """
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for plain in (False, True):
            start = time.perf_counter()
            session = make(plain)
            session.use(settings)
            _read(session, _questions(session)[0])
            times[plain].append(time.perf_counter() - start)
            session.close()
    rearranged, plain_seconds = map(statistics.median, times)
    return plain_seconds <= CLEARLY * rearranged, [rearranged, plain_seconds]


_Contenders: TypeAlias = Sequence[tuple[Tunable, Settings]]
_Race: TypeAlias = Callable[[_Contenders], list[Measured]]


def _gain(race: _Race, pair: _Contenders) -> float:
    """How many times as fast as the first the second one is."""
    before, after = race(pair)
    return before.mean / after.mean


def _best(
    race: _Race,
    session: Tunable,
    candidates: list[Settings],
    report: Callable[[Measured], None],
) -> Measured:
    measured = race([(session, settings) for settings in candidates])
    for one in measured:
        report(one)
    return _better(measured)


def _threads(settings: Settings) -> Iterable[Settings]:
    cores = settings.threads
    numbers = {cores // 2, cores - 1, os.cpu_count() or cores} - {cores}
    return [replace(settings, threads=n) for n in sorted(numbers) if n >= 1]


def _batches(settings: Settings) -> Iterable[Settings]:
    return [replace(settings, n_batch=n) for n in (128, 256) if n != settings.n_batch]


def _attention(settings: Settings) -> Iterable[Settings]:
    return [replace(settings, flash_attention=not settings.flash_attention)]


def _sequences(settings: Settings) -> list[Settings]:
    numbers = (settings.sequences, settings.sequences // 2, 2 * settings.sequences, 1)
    return [replace(settings, sequences=n) for n in numbers]


def _race(contenders: _Contenders) -> list[Measured]:
    """All contenders in turn, some rounds; the first one is what the others must beat."""
    questions = _questions(contenders[0][0])
    times: list[list[list[float]]] = [[[] for _ in questions] for _ in contenders]
    for _ in range(ROUNDS):
        for (session, settings), columns in zip(contenders, times):
            session.use(settings)
            _read(session, questions[0])  # makes the context, and computes the fixed start
            for question, column in zip(questions, columns):
                column.append(_read(session, question))
    return [
        Measured(settings, tuple(statistics.median(column) for column in columns))
        for (_, settings), columns in zip(contenders, times)
    ]


def _race_together(contenders: _Contenders) -> list[Measured]:
    """The same for short texts that share passes: seconds for each text."""
    texts = ["river " * WORDS[0] + str(n) for n in range(_TEXTS)]
    questions = [_question(contenders[0][0], text) for text in texts]
    times: list[list[float]] = [[] for _ in contenders]
    for _ in range(ROUNDS):
        for (session, settings), column in zip(contenders, times):
            session.use(settings)
            read = _read_together if settings.sequences > 1 else _read_in_turn
            read(session, questions[: settings.sequences], settings.sequences)
            column.append(read(session, questions, settings.sequences) / _TEXTS)
    return [
        Measured(settings, (statistics.median(column),), together=True)
        for (_, settings), column in zip(contenders, times)
    ]


def _read_together(session: Session, questions: Sequence[Question], most: int) -> float:
    sequences = session.sequences((questions[0].tokens[: questions[0].prefix],))
    start = time.perf_counter()
    for first in range(0, len(questions), most):
        reads: dict[int, Read | Extend] = {}
        for one in questions[first : first + most]:
            number = sequences.take(len(one.tokens) - one.prefix)
            assert number is not None, "a short text has room"
            reads[number] = Read(one.tokens, room=0, prefix=one.prefix)
        sequences.compute(reads)
        for number in reads:
            sequences.give(number)
    return time.perf_counter() - start


def _read_in_turn(session: Session, questions: Sequence[Question], _most: int) -> float:
    """As it is done where texts do not share passes."""
    return sum(_read(session, question) for question in questions)


def _read(session: Session, question: Question) -> float:
    start = time.perf_counter()
    session.read(question.tokens, room=_ROOM, prefix=question.prefix)
    return time.perf_counter() - start


def _questions(session: Session) -> list[Question]:
    return [_question(session, "river " * words) for words in WORDS]


def _question(session: Session, text: str) -> Question:
    return QuestionTokenizer(session).question((Message("user", text),))


def _better(measured: list[Measured]) -> Measured:
    fastest = min(measured, key=lambda one: one.mean)
    return fastest if fastest.mean <= CLEARLY * measured[0].mean else measured[0]
