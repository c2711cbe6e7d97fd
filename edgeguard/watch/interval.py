"""Watches with a Qwen3Guard-Gen: the question is asked again whenever enough text was added.

Each time costs only the new text and the end of the question, since the prefix cache holds the
rest. It is coarser than a Qwen3Guard-Stream: harm is found at the end of its sentence. When the
question is asked depends on the text alone, and not on the pieces in which it comes.

A response that outgrows the context is read in overlapping windows: text before the last half of a
window has been judged, and is not judged again. This module does not decide what is flagged.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeguard.check import Check
from edgeguard.conversation.value import UNKNOWN, Conversation
from edgeguard.stream.interface import TokenLabel
from edgeguard.watch import INTERVAL
from edgeguard.watch.pieces import is_sentence_end, word_end
from edgeguard.watch.watch import Judged

_MOST = 5
"""After so many intervals, a pass is made in the middle of a sentence."""


class IntervalEngine:
    """Asks a Gen model at the ends of sentences; see edgeguard.watch.watch.Engine."""

    def __init__(
        self,
        conversation: Conversation | None,
        begin: Callable[[Conversation], Check],
        interval: int = INTERVAL,
    ) -> None:
        """``begin`` begins a check; the conversation is judged now.

        If it is None, the response is judged as one to an unknown prompt.
        """
        self._conversation = conversation or UNKNOWN
        self._begin = begin
        self._interval = interval
        self._judged_to = 0
        self._window = 0  # where the text of the current window begins
        self._windows = 1
        self.prompt = None if conversation is None else begin(conversation).verdict()

    def read(self, text: str, *, last: bool) -> Judged | None:
        """Judge the text up to the next position that is worth a pass."""
        end = self._place(text) or (len(text) if last and len(text) > self._judged_to else 0)
        if not end:
            return None
        verdict = self._check(text[:end]).verdict()
        start, self._judged_to = self._judged_to, end
        return Judged(end, verdict, start if verdict.flagged else None, self._windows)

    def labels(self) -> tuple[TokenLabel, ...]:
        """Empty: a Gen does not label tokens."""
        return ()

    def close(self) -> None:
        """Does nothing: the guard owns all memory."""

    def _place(self, text: str) -> int:
        """Where the next pass ends, however the text is cut into pieces; 0 if not yet."""
        most = self._interval * _MOST
        first = self._judged_to + self._interval
        for place in range(first, min(len(text), self._judged_to + most)):
            if is_sentence_end(text, place):
                return place
        if len(text) <= self._judged_to + most:
            return 0
        return word_end(text[: self._judged_to + most + 1], self._judged_to)

    def _check(self, text: str) -> Check:
        """Begin the check of the current window, which must fit one context."""
        while True:
            check = self._begin(self._conversation.answered(text[self._window :]))
            size = len(text) - self._window
            if check.fits or size < 2 * self._interval * _MOST:
                # shorten the response first; the check itself cuts a long conversation
                return check
            half = self._window + size // 2
            self._window = word_end(text[: half + 1], self._window)
            self._windows += 1
