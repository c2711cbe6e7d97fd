"""The generator behind Guard.check_many: any iterable of texts, one verdict or error for each.

This module reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edgeguard.batch.recent import Recent
from edgeguard.batch.rows import Names, conversation, key_of
from edgeguard.errors import InputError
from edgeguard.protocol.messages import Message, parse_messages
from edgeguard.verdict import Verdict

if TYPE_CHECKING:
    from edgeguard.guard import CheckRow

_NAMES = Names()


def check_many(
    rows: Iterable[CheckRow], check: Callable[[tuple[Message, ...]], Verdict]
) -> Iterator[Verdict | InputError]:
    """One verdict for each row, or the InputError that says why there is none; see the guard."""
    recent: Recent[Verdict] = Recent()
    for row in rows:
        try:
            messages = _messages(row)
            key = key_of(messages)
            verdict = recent.get(key)
            if verdict is None:
                verdict = check(messages)
                recent.put(key, verdict)
        except InputError as error:
            yield error
        else:
            yield verdict


def _messages(row: CheckRow) -> tuple[Message, ...]:
    if isinstance(row, str):
        return parse_messages([Message("user", row)])
    if isinstance(row, Mapping):
        return parse_messages(conversation(row, _NAMES))
    if not isinstance(row, Iterable):
        raise InputError(f"a row is {type(row).__name__}: give a text, a mapping or messages")
    return parse_messages(row)
