"""From rows to outcomes: each row's conversation is judged by itself, repeated ones once.

edgeguard.batch.blocks does the same with several at a time.
This module holds no logic of moderation and reads and writes no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgeguard.batch.rows import Row
from edgeguard.cancellation import Cancellation
from edgeguard.conversation.reader import PLAIN, Reading
from edgeguard.conversation.recent import Memory
from edgeguard.conversation.rows import Names, conversation_of, key_of
from edgeguard.conversation.value import Conversation
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.guard import Guard
from edgeguard.self_test import check_only_row, self_test
from edgeguard.verdict import Verdict


@dataclass(frozen=True)
class Known:
    """A verdict as JSON, and the number of the row that it was made for."""

    verdict: str
    number: int


@dataclass(frozen=True)
class Outcome:
    """A row with its verdict as JSON, or with the reason why it has none.

    ``settled``: a run that is killed may go on behind this row.
    """

    row: Row
    verdict: str | None
    repeated: bool = False
    error: str = ""
    settled: bool = True


@dataclass(frozen=True)
class Limits:
    """How a row is read, how long it may take, in seconds, and what ends the run in one."""

    timeout: float | None = None
    cancel: Cancellation | None = None
    reading: Reading = PLAIN


def judged(
    rows: Iterable[Row],
    guard: Guard,
    names: Names,
    memory: Memory[Known],
    unit: str,
    limits: Limits = Limits(),
) -> Iterator[Outcome]:
    """The outcome of each row, in order.

    A row that cannot be judged is an outcome. Raised are: SessionError and ModelError where the
    model fails its self-test too, ClosedError, CancelledError, OutputError of the memory, and what
    reading the rows raises.
    """
    for row in rows:
        try:
            known = _verdict(row, guard, names, memory, limits)
        except EdgeguardError as error:
            check_only_row(error, lambda: self_test(guard, limits.cancel))
            yield Outcome(row, None, error=f"{unit} {row.number}: {error}")
        else:
            # A row that is met again after a kill is not a repeated one.
            yield Outcome(row, known.verdict, repeated=known.number != row.number)


def _verdict(row: Row, guard: Guard, names: Names, memory: Memory[Known], limits: Limits) -> Known:
    conversation = conversation_in_row(row, names, limits)
    key = key_of(conversation)
    known = memory.get(key)
    if known is None:
        verdict = guard.check_messages(
            conversation, fresh=True, timeout=limits.timeout, cancel=limits.cancel
        )
        known = known_of(verdict, row)
        memory.put(key, known)
    return known


def conversation_in_row(row: Row, names: Names, limits: Limits) -> Conversation:
    """The conversation that is judged. Raises InputError, also for a row that could not be read."""
    if row.fields is None:
        raise InputError(row.problem)
    return conversation_of(row.fields, names, limits.reading)


def known_of(verdict: Verdict, row: Row) -> Known:
    """A row's verdict as it is written: the same row has the same bytes in every run."""
    plain = verdict.to_dict()
    del plain["seconds"], plain["cached"]
    return Known(json.dumps(plain, ensure_ascii=False), row.number)
