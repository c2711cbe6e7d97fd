"""The engine of a watch: which one the model needs, and how it reaches the model's thread.

A Qwen3Guard-Stream reads tokens in the thread itself; a Qwen3Guard-Gen is asked a question at a
time, as for any check. So is a Stream where the policy wants a text without its disguises as well:
what is a disguise shows only when more of the text is there. This module reads no message and
judges nothing.
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
    """How one response is watched; ``seconds`` is what each pass may take."""

    policy: Policy
    interval: int
    in_a_row: int
    shares: bool
    seconds: float | None
    cancel: Cancellation | None

    @property
    def deadline(self) -> float | None:
        """That of a pass which begins now."""
        return None if self.seconds is None else time.monotonic() + self.seconds


def engine(asking: Asking, asked: Conversation | None, how: HowWatched) -> Engine:
    """Judge the conversation, and be ready for the response.

    Raises InputError, and what a check raises.
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
        # Nothing native is freed while the thread computes; a closed guard has freed it all.
        with suppress(SessionError):
            asking.thread.run(function)

    return StreamEngine(asked, how.policy, how.in_a_row, asking.model.get, run, free)
