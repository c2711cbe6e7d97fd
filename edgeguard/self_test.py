"""Whether a guard still answers: two questions whose answers do not matter.

A text that fails may be to blame itself, or the model may be broken. This tells the two apart; the
probes of edgeguard.trial ask more, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeguard.cancellation import Cancellation
from edgeguard.errors import ModelError
from edgeguard.protocol.answer import parse

if TYPE_CHECKING:
    from edgeguard.guard import Guard

_USER = {"role": "user", "content": "What is the capital of France?"}
_TESTS = ([_USER], [_USER, {"role": "assistant", "content": "It is Paris."}])


def self_test(guard: Guard, cancel: Cancellation | None = None) -> None:
    """Ask for a verdict in each mode. Raises EdgeguardError unless both are answers."""
    for messages in _TESTS:
        verdict = guard.check_messages(messages, cancel=cancel)
        try:
            parse(verdict.mode, verdict.answer)
        except ValueError as error:
            raise ModelError(f"the test verdict of a {verdict.mode} is no answer") from error
