"""A caller's job for the worker: its texts, what they may cost, and the result of each.

A turn judges one window, so neither a long text nor a long list makes other callers wait for its
end. A text that cannot be judged gets its error as its result, and the rest goes on. The cost of a
job is limited in tokens, counted before a text is computed, and in seconds of computing; waiting is
not counted.

This module starts no thread and knows nothing of HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.conversation.value import Conversation
from edgeguard.errors import (
    CancelledError,
    EdgeguardError,
    InputError,
    InputTooLongError,
    PolicyError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.guard import Guard
from edgeguard.verdict import Verdict
from edgeguard.worker.limits import Limits

T = TypeVar("T")
_OF_THE_CALLER = (InputError, PolicyError)
"""Errors that do not mean that the guard is broken."""

_FRAME = 300
_CHARACTERS = 4
"""Tokens of the question around a text, and characters per token: estimates for Retry-After."""


@dataclass(frozen=True)
class Text:
    """One text of a job: a conversation, and the keyword options of ``Guard.begin`` for it."""

    conversation: Conversation
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def characters(self) -> int:
        """Its length in characters."""
        return sum(len(message.content) for message in self.conversation.messages)


class Job(Generic[T]):
    """The texts of one caller; ``turn`` judges the next window of the next text."""

    def __init__(
        self,
        texts: Sequence[Text],
        finish: Callable[[Guard, Verdict], T],
        limits: Limits,
        name: str = "",
    ) -> None:
        """``finish`` turns a verdict into what the caller wants, in the worker's thread.

        The log calls the caller ``name``.
        """
        self.name = name
        self._texts = deque(texts)
        self._finish = finish
        self._limits = limits
        self._begun: deque[Check] = deque()  # of the first texts
        self._left_windows = 0
        self._tokens = 0
        self._seconds = 0.0
        self._turn_began: float | None = None
        self._late = False
        self.arrived = time.monotonic()
        self.started: float | None = None
        self.results: list[T | EdgeguardError] = []
        self.cancellation = Cancellation()

    @property
    def is_done(self) -> bool:
        """Whether every text has its result."""
        return not self._texts

    @property
    def texts_left(self) -> int:
        """How many texts have no result yet."""
        return len(self._texts)

    @property
    def tokens_left(self) -> int:
        """About how many tokens are still to be read."""
        checks = list(self._begun)
        texts = list(self._texts)[len(checks) :]
        begun = sum(check.tokens for check in checks[1:])
        for check in checks[:1]:
            begun += check.tokens * self._left_windows // check.windows
        characters = sum(text.characters for text in texts)
        return begun + _FRAME * len(texts) + characters // _CHARACTERS

    @property
    def seconds_left(self) -> float:
        """Seconds of computing that this job has left."""
        running = 0.0 if (began := self._turn_began) is None else time.monotonic() - began
        return self._limits.seconds - self._seconds - running

    def expire(self) -> None:
        """Stop the computation: the time is up. May be called from any thread."""
        self._late = True
        self.cancellation.cancel()

    def turn(self, guard: Guard) -> int:
        """Judge the next window; returns the number of tokens read for it, 0 if ahead.

        Raises CancelledError if the job was given up. Any other error may be due to the text or the
        guard: the caller has to find out, and call ``fail_text`` to go on.
        """
        with self._clock():
            try:
                return self._step(guard)
            except CancelledError:
                if not self._late:
                    raise
                while self._texts:
                    self.fail_text(self._timeout())
            except _OF_THE_CALLER as error:
                self.fail_text(error)
        return 0

    def prepared(self, guard: Guard, most: int) -> list[Check]:
        """The checks of the next texts, begun if need be, without those that were in company."""
        while len(self._begun) < min(most, len(self._texts)):
            try:
                self._begin(guard)
            except Exception:  # its own turn raises it again, and says whose fault it is
                break
        return [check for check in list(self._begun)[:most] if not check.was_in_company]

    @property
    def was_in_company(self) -> bool:
        """Whether the next turn has to take an answer, or ask alone."""
        return bool(self._begun) and self._begun[0].was_in_company

    def took(self, check: Check, seconds: float) -> None:
        """Seconds of computing that one of its checks has had outside a turn."""
        self._seconds += seconds
        check.took(seconds)

    def fail_text(self, error: EdgeguardError) -> None:
        """Make the error the result of the next text."""
        self._end(error)

    def _step(self, guard: Guard) -> int:
        if not self._begun:
            self._begin(guard)
        check = self._begun[0]
        tokens = 0 if check.is_answered else check.tokens // check.windows
        verdict = check.step()
        self._left_windows -= 1
        if verdict is not None:
            self._end(self._finish(guard, verdict))
        return tokens

    def _begin(self, guard: Guard) -> None:
        """Begin the first text that is not."""
        text = self._texts[len(self._begun)]
        check = guard.begin(text.conversation, **text.options, cancel=self.cancellation)
        free = self._limits.tokens - self._tokens
        if check.tokens > free:
            others = f", of which its other texts have taken {self._tokens:,}"
            raise InputTooLongError(
                f"the text needs {check.tokens:,} tokens, and one request may have "
                f"{self._limits.tokens:,}{others if self._tokens else ''}: split it and send the "
                "parts"
            )
        self._tokens += check.tokens
        self._begun.append(check)
        if len(self._begun) == 1:
            self._left_windows = check.windows

    def _end(self, result: T | EdgeguardError) -> None:
        self.results.append(result)
        self._texts.popleft()
        if self._begun:
            self._begun.popleft()
        if self._begun:
            self._left_windows = self._begun[0].windows

    def _timeout(self) -> TimeoutError:
        return TimeoutError(
            f"the request has been computed for {self._limits.seconds:g} s, which is the most that "
            "one may have here: split it and send the parts"
        )

    @contextmanager
    def _clock(self) -> Iterator[None]:
        self._turn_began = time.monotonic()
        if self.started is None:
            self.started = self._turn_began
        try:
            yield
        finally:
            self._seconds += time.monotonic() - self._turn_began
            self._turn_began = None
