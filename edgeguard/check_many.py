"""The generators behind Guard.check_many: rows of any plain kind, one verdict or error for each.

    alone      one row after the other, each taken when the one before has its verdict
    together   as many as fit are asked together; a few rows are taken ahead

This module reads no file and knows no guard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from edgeguard.check import Check
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.recent import Recent
from edgeguard.conversation.rows import conversation_in, key_of
from edgeguard.conversation.value import Conversation
from edgeguard.errors import EdgeguardError
from edgeguard.self_test import check_only_row
from edgeguard.verdict import Verdict

AHEAD = 32
"""Rows taken before the first of them has its verdict, at most."""


class Several(Protocol):
    """Conversations that are judged side by side; see edgeguard.several."""

    @property
    def wants_more(self) -> bool:
        """Whether another conversation would be asked at once."""

    def begin(self, conversation: Conversation) -> Check:
        """Begin to judge a conversation."""

    def is_ready(self, check: Check) -> bool:
        """Whether its verdict can be had without waiting for others."""

    def step(self) -> None:
        """Go on with all that were begun."""

    def verdict(self, check: Check) -> Verdict:
        """The verdict of a check that is ready."""

    def close(self) -> None:
        """Give up the rest."""


@dataclass
class _Row:
    """A row that was taken: its check, none where an earlier row is the same; or its error."""

    conversation: Conversation | None = None
    key: bytes = b""
    check: Check | None = None
    error: EdgeguardError | None = None


def alone(
    rows: Iterable[Any],
    reading: Reading,
    check: Callable[[Conversation], Verdict],
    self_test: Callable[[], None],
) -> Iterator[Verdict | EdgeguardError]:
    """Judge row by row.

    ``self_test`` raises if the model is broken, and not only the row. So it is in ``together``.
    """
    recent: Recent[Verdict] = Recent()
    for row in rows:
        try:
            conversation = conversation_in(row, reading)
            key = key_of(conversation)
            verdict = recent.get(key)
            if verdict is None:
                verdict = check(conversation)
                recent.put(key, verdict)
        except EdgeguardError as error:
            check_only_row(error, self_test)
            yield error
        else:
            yield verdict


def together(
    rows: Iterable[Any], reading: Reading, several: Several, self_test: Callable[[], None]
) -> Iterator[Verdict | EdgeguardError]:
    """Judge rows in company; the verdicts come in the order of the rows."""
    recent: Recent[Verdict] = Recent()
    line: deque[_Row] = deque()
    left = iter(rows)
    try:
        while True:
            _take(left, line, reading, several, recent)
            if not line:
                return
            if not _is_ready(line[0], several, recent):
                several.step()
                continue
            try:
                verdict = _verdict(line.popleft(), several, recent)
            except EdgeguardError as error:
                check_only_row(error, self_test)
                yield error
            else:
                yield verdict
    finally:
        several.close()


def _take(
    rows: Iterator[Any],
    line: deque[_Row],
    reading: Reading,
    several: Several,
    recent: Recent[Verdict],
) -> None:
    """Take rows until enough are in line."""
    while several.wants_more and len(line) < AHEAD:
        try:
            row = next(rows)
        except StopIteration:
            return
        line.append(_begun(row, line, reading, several, recent))


def _begun(
    row: Any, line: deque[_Row], reading: Reading, several: Several, recent: Recent[Verdict]
) -> _Row:
    try:
        conversation = conversation_in(row, reading)
        found = _Row(conversation, key_of(conversation))
        if recent.get(found.key) is None and all(one.key != found.key for one in line):
            found.check = several.begin(conversation)
    except EdgeguardError as error:
        return _Row(error=error)
    return found


def _is_ready(row: _Row, several: Several, recent: Recent[Verdict]) -> bool:
    """Whether there is nothing to wait for; a row is begun where the same one before it failed."""
    if row.conversation is None or recent.get(row.key) is not None:
        return True
    if row.check is None:
        try:
            row.check = several.begin(row.conversation)
        except EdgeguardError as error:
            row.error = error
            return True
    return several.is_ready(row.check)


def _verdict(row: _Row, several: Several, recent: Recent[Verdict]) -> Verdict:
    """What comes of a row that is ready."""
    if row.error is not None:
        raise row.error
    verdict = recent.get(row.key)
    if verdict is None:
        assert row.check is not None
        verdict = several.verdict(row.check)
        recent.put(row.key, verdict)
    return verdict
