"""The generator behind Guard.check_many: rows of any plain kind, one verdict or error for each.

This module reads no file and knows no guard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from edgeguard.conversation.reader import Reading
from edgeguard.conversation.recent import Recent
from edgeguard.conversation.row_lists import rows_of
from edgeguard.conversation.rows import CheckRow, conversation_in, key_of
from edgeguard.conversation.value import Conversation
from edgeguard.errors import EdgeguardError
from edgeguard.self_test import check_only_row
from edgeguard.verdict import Verdict

Check = Callable[[Conversation], Verdict]


def check_many(
    rows: Iterable[CheckRow], reading: Reading, check: Check, self_test: Callable[[], None]
) -> Iterator[Verdict | EdgeguardError]:
    """One verdict for each row, or the error that says why there is none; see the guard.

    ``self_test`` raises if the model is broken, and not only the row. Raises InputError at once
    for what is no list of rows.
    """
    return _judged(rows_of(rows), reading, check, self_test)


def _judged(
    rows: Iterable[Any], reading: Reading, check: Check, self_test: Callable[[], None]
) -> Iterator[Verdict | EdgeguardError]:
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
