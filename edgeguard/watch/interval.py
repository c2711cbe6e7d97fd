"""A Qwen3Guard-Gen that watches: the question is asked again whenever enough was added.

It pays for the new text and the end of the question, since the prefix cache holds the rest. It is
coarser than a Qwen3Guard-Stream: harm is found at the end of the sentence in which it stands.
Where it is asked depends on the text alone, and not on the pieces in which it comes.

A response that outgrows the context is read in overlapping windows: what came before the last
half of a window was judged, and is not judged again. This module does not decide what is flagged.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeguard.check import Check
from edgeguard.conversation.value import UNKNOWN, Conversation
from edgeguard.stream.interface import TokenLabel
from edgeguard.watch.pieces import is_sentence_end, word_end
from edgeguard.watch.watch import Judged

INTERVAL = 40
"""Characters between two passes at least; the next end of a sentence behind them is one."""
_MOST = 5
"""Intervals after which a pass is made in the middle of a sentence."""


class IntervalEngine:
    """Asks a Gen model at the ends of sentences; see edgeguard.watch.watch.Engine."""

    def __init__(
        self,
        conversation: Conversation | None,
        begin: Callable[[Conversation], Check],
        interval: int = INTERVAL,
    ) -> None:
        """``begin`` begins a check of a conversation; the one given is judged now.

        Without one the response is judged as one to a prompt that is not known.
        """
        self._conversation = conversation or UNKNOWN
        self._begin = begin
        self._interval = interval
        self._judged_to = 0
        self._window = 0  # where the text begins that is still read
        self._windows = 1
        self.prompt = None if conversation is None else begin(conversation).verdict()

    def read(self, text: str, *, last: bool) -> Judged | None:
        """Judge the text up to the next place that is worth a pass."""
        end = self._place(text) or (len(text) if last and len(text) > self._judged_to else 0)
        if not end:
            return None
        verdict = self._check(text[:end]).verdict()
        start, self._judged_to = self._judged_to, end
        return Judged(end, verdict, start if verdict.flagged else None, self._windows)

    def labels(self) -> tuple[TokenLabel, ...]:
        """None: it has no labels of tokens."""
        return ()

    def close(self) -> None:
        """Nothing is held: the guard has it."""

    def _place(self, text: str) -> int:
        """Where the next pass ends, whatever pieces the text comes in; 0: not there yet."""
        most = self._interval * _MOST
        first = self._judged_to + self._interval
        for place in range(first, min(len(text), self._judged_to + most)):
            if is_sentence_end(text, place):
                return place
        if len(text) <= self._judged_to + most:
            return 0
        return word_end(text[: self._judged_to + most + 1], self._judged_to)

    def _check(self, text: str) -> Check:
        """Begin the check of what is still read, which must fit one window."""
        while True:
            check = self._begin(self._conversation.answered(text[self._window :]))
            size = len(text) - self._window
            if check.fits or size < 2 * self._interval * _MOST:
                return check  # a long conversation before it is cut by the check itself
            half = self._window + size // 2
            self._window = word_end(text[: half + 1], self._window)
            self._windows += 1
