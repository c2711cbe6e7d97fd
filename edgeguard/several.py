"""Several conversations on their way to their verdicts, their questions asked together.

    begin      writes the questions of a conversation, and puts the short ones in the queue
    step       computes one pass for all that are in flight
    is_ready   whether a check has what it needs: its verdict costs no more than a long text does

What goes wrong in company is asked again alone, where it says what is wrong: this module loses no
question and has no errors of its own. So is a close call (edgeguard.close_call). What comes out
depends on the conversations and their order alone, not on what was asked before. This module reads
no row and decides nothing.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from edgeguard.asking import Asking, How
from edgeguard.check import Check
from edgeguard.close_call import is_close
from edgeguard.conversation.value import Conversation
from edgeguard.decoder import Decoded
from edgeguard.errors import EdgeguardError, SessionError
from edgeguard.loading import Loaded
from edgeguard.together import Together, is_short
from edgeguard.tokens import Question
from edgeguard.verdict import Verdict

QUEUED = 8
"""Questions that wait for a free sequence, at least: as many as may become free in one pass."""


class Several:
    """Conversations judged side by side. ``close`` it when no more will be asked."""

    def __init__(self, asking: Asking, how: How) -> None:
        self._asking = asking
        self._how = how
        self._queue: deque[Question] = deque()
        self._asked: set[Question] = set()  # queued or in flight
        self._answered: dict[Question, Decoded] = {}
        self._seconds: dict[Question, float] = {}
        self._loaded: Loaded | None = None
        self._together: Together | None = None

    @property
    def wants_more(self) -> bool:
        """Whether another conversation is needed to fill the next pass."""
        return len(self._queue) < QUEUED

    def begin(self, conversation: Conversation) -> Check:
        """Write the questions of a conversation; see Asking.begin."""
        check = self._asking.begin(conversation, self._how, self._decoded)
        for question in check.questions:
            if (
                is_short(question, self._asking.device)
                and question not in self._asked | self._answered.keys()
            ):
                known = self._asking.remembered(question, self._how)
                if known is None:
                    self._asked.add(question)
                    self._queue.append(question)
                else:
                    self._answered[question] = known
        return check

    def is_ready(self, check: Check) -> bool:
        """Whether no question of it is still asked in company."""
        return self._asked.isdisjoint(check.questions)

    def verdict(self, check: Check) -> Verdict:
        """The verdict of a check that is ready; what has no answer yet is asked alone."""
        check.took(sum(self._seconds.pop(question, 0.0) for question in check.questions))
        return check.verdict()

    def step(self) -> None:
        """Compute one pass. Raises CancelledError, TimeoutError, ClosedError, ModelError (of a
        model that had to be loaded again)."""
        started = time.perf_counter()
        flown = self._asking.run(self._pass, self._how)
        share = (time.perf_counter() - started) / max(1, len(flown))
        for question in flown:
            self._seconds[question] = self._seconds.get(question, 0.0) + share

    def close(self) -> None:
        """Give up what is in flight."""
        if self._together is not None:
            self._together.close()
        self._queue.clear()

    def _decoded(self, question: Question, _ahead: Decoded | None) -> Decoded:
        known = self._answered.pop(question, None)
        return known or self._asking.decoded(question, replace(self._how, fresh=True))

    # In the model's thread

    def _pass(self) -> list[Question]:
        """Fill the free sequences from the queue, and compute; what was in flight."""
        together = self._with(self._asking.model.get())
        while self._queue and together.add(
            self._queue[0], categories=self._asking.wants_categories(self._how)
        ):
            self._queue.popleft()
        flown = together.in_flight
        if not flown:  # somebody else has all sequences
            self._asked.difference_update(self._queue)
            self._queue.clear()
            return []
        try:
            done = together.step()
        except SessionError:
            self._asked.difference_update(flown)
            return flown
        for question, outcome in done:
            self._asked.discard(question)
            if not isinstance(outcome, EdgeguardError) and not is_close(outcome, self._how.policy):
                self._answered[question] = outcome
                self._asking.remember(question, outcome, self._how)
        return flown

    def _with(self, loaded: Loaded) -> Together:
        """What computes with the model that is loaded now."""
        if self._together is None or loaded is not self._loaded:
            if self._together is not None:  # unloaded meanwhile, with all it held
                self._asked.difference_update(self._together.in_flight)
            self._loaded, self._together = loaded, loaded.together(anew=True)
        return self._together
