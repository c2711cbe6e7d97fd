"""The next answers of several checks, computed in common passes before their turns come.

A server has many callers, each with a check of its own. Those that wait have their next question
answered beside that of the one whose turn it is; their own steps then cost nothing. What cannot be
computed together, or is a close call, is left to those steps. This module raises no error of a text
and decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from edgeguard.asking import Asking
from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.close_call import is_close
from edgeguard.decoder import Decoded
from edgeguard.errors import EdgeguardError
from edgeguard.loading import Loaded
from edgeguard.together import is_short
from edgeguard.tokens import Question


def answer_ahead(
    asking: Asking, checks: Sequence[Check], cancel: Cancellation | None = None
) -> list[Check]:
    """Compute the next answers of the checks that gain by company; those that took part.

    Raises SessionError, ModelError, CancelledError, ClosedError; nothing is answered then.
    """
    if asking.is_stream:
        return []
    asked: dict[Question, list[Check]] = {}
    for check in checks:
        if is_short(check.next_question, asking.device):
            asked.setdefault(check.next_question, []).append(check)
    if len(asked) < 2:
        return []
    wanted = {question: any(one.categories for one in asked[question]) for question in asked}
    found = asking.thread.run(lambda: _answers(asking.model.get(), wanted), cancel=cancel)
    for question, same in asked.items():
        decoded = found.get(question)
        for check in same:
            counts = decoded is not None and not is_close(decoded, check.policy)
            check.answered(decoded if counts else None)
    return [check for same in asked.values() for check in same]


def _answers(loaded: Loaded, wanted: Mapping[Question, bool]) -> dict[Question, Decoded]:
    """The answers that there are; ``wanted``: whether one needs the categories' probabilities."""
    together = loaded.together()
    line, found = deque(wanted), dict[Question, Decoded]()
    try:
        while True:
            while line and together.add(line[0], categories=wanted[line[0]]):
                line.popleft()
            if not together.in_flight:
                return found
            for question, outcome in together.step():
                if not isinstance(outcome, EdgeguardError):
                    found[question] = outcome
    finally:
        together.close()
