"""The generator behind Guard.check_many: rows of any plain kind, one verdict or error for each.

This module reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgeguard.batch.recent import Recent
from edgeguard.batch.row_lists import is_missing, rows_of
from edgeguard.batch.rows import Names, conversation, key_of
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.protocol.messages import Message, parse_messages
from edgeguard.self_test import check_only_row
from edgeguard.verdict import Verdict

if TYPE_CHECKING:
    from edgeguard.guard import CheckRow

_NAMES = Names()


def check_many(
    rows: Iterable[CheckRow],
    check: Callable[[tuple[Message, ...]], Verdict],
    self_test: Callable[[], None],
) -> Iterator[Verdict | EdgeguardError]:
    """One verdict for each row, or the error that says why there is none; see the guard.

    ``self_test`` raises if the model is broken, and not only the row. Raises InputError at once
    for what is no list of rows.
    """
    return _judged(rows_of(rows), check, self_test)


def _judged(
    rows: Iterable[Any],
    check: Callable[[tuple[Message, ...]], Verdict],
    self_test: Callable[[], None],
) -> Iterator[Verdict | EdgeguardError]:
    recent: Recent[Verdict] = Recent()
    for row in rows:
        try:
            messages = messages_of(row)
            key = key_of(messages)
            verdict = recent.get(key)
            if verdict is None:
                verdict = check(messages)
                recent.put(key, verdict)
        except EdgeguardError as error:
            check_only_row(error, self_test)
            yield error
        else:
            yield verdict


def messages_of(row: Any) -> tuple[Message, ...]:
    """The conversation of one row. Raises InputError."""
    if isinstance(row, str):
        return parse_messages([Message("user", row)])
    if hasattr(row, "_asdict"):  # a named tuple
        row = {name: value for name, value in row._asdict().items() if not is_missing(value)}
    if isinstance(row, Mapping):
        return parse_messages(conversation(row, _NAMES))
    if isinstance(row, (bytes, bytearray)) or not isinstance(row, Iterable):
        raise InputError(f"a row is {type(row).__name__}: give a text, a mapping or messages")
    return parse_messages(row)
