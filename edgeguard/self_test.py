"""Find out whether a guard still works, by asking it two simple questions.

When a check fails, either the text is to blame or the model is broken. Those who judge many texts
(`batch`, `eval`, the server) ask these two questions after a failure: if they are answered, the
text was to blame and the run goes on; if not, the run ends. The answers do not matter here.
edgeguard.trial asks harder questions, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgeguard.cancellation import Cancellation
from edgeguard.errors import (
    CancelledError,
    ClosedError,
    EdgeguardError,
    InputError,
    ModelError,
    SessionError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.protocol.answer import parse
from edgeguard.verdict import Verdict

_USER = {"role": "user", "content": "What is the capital of France?"}
_TESTS = ([_USER], [_USER, {"role": "assistant", "content": "It is Paris."}])


class Asked(Protocol):
    """The part of a guard that is needed here."""

    def check_messages(
        self, messages: list[dict[str, str]], *, cancel: Cancellation | None = None
    ) -> Verdict:
        """A verdict on a conversation."""


def self_test(guard: Asked, cancel: Cancellation | None = None) -> None:
    """Ask one question in each mode. Raises EdgeguardError unless both get an answer."""
    for messages in _TESTS:
        verdict = guard.check_messages(messages, cancel=cancel)
        try:
            # A Stream never gives a refusal, in either mode.
            parse("prompt" if verdict.refusal is None else "response", verdict.answer)
        except ValueError as error:
            raise ModelError(f"the test verdict of a {verdict.mode} is no answer") from error


def check_only_row(error: EdgeguardError, test: Callable[[], None]) -> None:
    """Return if an error is due to its row alone; raise if it stops the whole run.

    ``test`` is the self-test: if the model itself has failed, the self-test's error is raised.
    """
    of_run = isinstance(error, (ClosedError, CancelledError))
    if of_run or not isinstance(error, (InputError, TimeoutError, SessionError, ModelError)):
        raise error
    if isinstance(error, (SessionError, ModelError)):
        test()
