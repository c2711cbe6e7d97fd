"""Chooses the engine of a watch for a model, and connects it to the model's thread.

A Qwen3Guard-Stream reads the tokens one by one; a Qwen3Guard-Gen is asked a question at intervals,
as in any check. A Stream is asked in that way too if the policy wants the normalised text judged as
well, because more of the text is needed to recognise a disguised word. This module reads no message
and judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from edgeguard.asking import Asking, How
from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.conversation.value import Conversation
from edgeguard.errors import InputError, SessionError
from edgeguard.policy import Policy
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.watch.interval import IntervalEngine
from edgeguard.watch.stream import StreamEngine
from edgeguard.watch.watch import Engine

T = TypeVar("T")


@dataclass(frozen=True)
class HowWatched:
    """How one response is watched; ``seconds`` is the time limit of each pass."""

    policy: Policy
    interval: int
    in_a_row: int
    shares: bool
    seconds: float | None
    cancel: Cancellation | None

    @property
    def deadline(self) -> float | None:
        """The deadline of a pass that begins now."""
        return None if self.seconds is None else time.monotonic() + self.seconds


def engine(asking: Asking, asked: Conversation | None, how: HowWatched) -> Engine:
    """Judge the conversation, and get ready for the response.

    Raises InputError, and whatever a check raises.
    """
    by_tokens = asking.is_stream and not how.policy.normalise
    if asking.is_stream and not by_tokens and how.in_a_row != IN_A_ROW:
        raise InputError(
            f"in_a_row is {how.in_a_row}, and policy {how.policy.name} has normalise = true: the "
            f"response is then judged sentence by sentence, where {IN_A_ROW} in a row count"
        )
    return _stream(asking, asked, how) if by_tokens else _interval(asking, asked, how)


def _interval(asking: Asking, asked: Conversation | None, how: HowWatched) -> Engine:
    def begin(conversation: Conversation) -> Check:
        each = How(how.policy, False, how.shares, how.deadline, how.cancel)
        return asking.begin(conversation, each)

    return IntervalEngine(asked, begin, how.interval)


def _stream(asking: Asking, asked: Conversation | None, how: HowWatched) -> Engine:
    def run(function: Callable[[], T]) -> T:
        return asking.thread.run(function, cancel=how.cancel, deadline=how.deadline)

    def free(function: Callable[[], None]) -> None:
        # In the model's thread, so not during a computation. A closed guard has freed it all.
        with suppress(SessionError):
            asking.thread.run(function)

    return StreamEngine(asked, how.policy, how.in_a_row, asking.model.get, run, free)
