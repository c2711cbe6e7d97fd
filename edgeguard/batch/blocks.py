"""Rows in blocks, whose short texts are computed together; see Guard.check_many.

What company does to the late digits of a row depends on the rows of its block and on nothing else,
so a run that is resumed at the end of a block comes to the same bytes as one that was not killed. A
block is small, since a kill loses the verdicts of one.

This module holds no logic of moderation, and reads and writes no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgeguard.batch.judging import Known, Limits, Outcome, conversation_in_row, known_of
from edgeguard.batch.rows import Row
from edgeguard.conversation.recent import Memory
from edgeguard.conversation.rows import Names, key_of
from edgeguard.conversation.value import Conversation
from edgeguard.errors import EdgeguardError
from edgeguard.guard import Guard

ROWS = 32
CHARACTERS = 8_000
"""A block ends with the row that reaches either of them."""
LONG = 2_000
"""Characters of a row that gains nothing by company: it is a block of its own."""


@dataclass
class _Read:
    """A row with its conversation, or the reason why it has none."""

    row: Row
    conversation: Conversation | None = None
    key: bytes = b""
    error: str = ""

    @property
    def size(self) -> int:
        """Characters to be judged."""
        messages = self.conversation.messages if self.conversation is not None else ()
        return sum(len(message.content) for message in messages)


def judged_in_blocks(
    rows: Iterable[Row],
    guard: Guard,
    names: Names,
    memory: Memory[Known],
    unit: str,
    limits: Limits,
) -> Iterator[Outcome]:
    """The outcome of each row, in order; the last of a block says so.

    Raises what edgeguard.batch.judging.judged raises.
    """
    for block in _blocks(rows, names, limits):
        known, errors = _judge(block, guard, memory, limits)
        for read in block:
            settled = read is block[-1]
            if read.key in known:
                found = known[read.key]
                repeated = found.number != read.row.number
                yield Outcome(read.row, found.verdict, repeated, settled=settled)
            else:
                error = f"{unit} {read.row.number}: {errors.get(read.key, read.error)}"
                yield Outcome(read.row, None, error=error, settled=settled)


def _judge(
    block: list[_Read], guard: Guard, memory: Memory[Known], limits: Limits
) -> tuple[dict[bytes, Known], dict[bytes, str]]:
    """The verdicts of a block, and the errors of those that have none, by the key of the row."""
    known, asked = _parted(block, memory)
    errors: dict[bytes, str] = {}
    conversations = [read.conversation for read in asked if read.conversation is not None]
    found = guard.check_many(conversations, exact=False, cancel=limits.cancel)
    for read, verdict in zip(asked, found):
        if isinstance(verdict, EdgeguardError):
            errors[read.key] = str(verdict)
        else:
            known[read.key] = known_of(verdict, read.row)
    for read in asked:
        if read.key in known:
            memory.put(read.key, known[read.key])
    return known, errors


def _parted(block: list[_Read], memory: Memory[Known]) -> tuple[dict[bytes, Known], list[_Read]]:
    """What is known of a block, and the rows to ask for, the same one once."""
    known: dict[bytes, Known] = {}
    asked: dict[bytes, _Read] = {}
    for read in block:
        if read.conversation is None or read.key in asked:
            continue
        found = memory.get(read.key)
        # After a kill, verdicts of this block may be there: all of it is asked again.
        if found is not None and found.number < block[0].row.number:
            known[read.key] = found
        else:
            asked[read.key] = read
    return known, list(asked.values())


def _blocks(rows: Iterable[Row], names: Names, limits: Limits) -> Iterator[list[_Read]]:
    block: list[_Read] = []
    size = 0
    for row in rows:
        read = _read(row, names, limits)
        if block and read.size >= LONG:
            yield block
            block, size = [], 0
        block.append(read)
        size += read.size
        if len(block) == ROWS or size >= CHARACTERS or read.size >= LONG:
            yield block
            block, size = [], 0
    if block:
        yield block


def _read(row: Row, names: Names, limits: Limits) -> _Read:
    try:
        conversation = conversation_in_row(row, names, limits)
    except EdgeguardError as error:
        return _Read(row, error=str(error))
    return _Read(row, conversation, key_of(conversation))
