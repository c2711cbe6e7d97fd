"""From a conversation to a running check: decides which questions the model is asked.

There is one question for the conversation as it was written. If the policy asks for it, there is a
second one for the normalised text, in which disguised words are spelled plainly. An answer found in
the cache is not asked for again; the others are computed in the model's thread.

This module reads no messages and does not decide what is flagged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edgeguard.cancellation import Cancellation
from edgeguard.check import Check, Judge
from edgeguard.conversation.value import Conversation
from edgeguard.decoder import Decoded
from edgeguard.policy import Policy
from edgeguard.reloading import Model
from edgeguard.session.thread import ModelThread
from edgeguard.tokens import Question
from edgeguard.verdict import ModelId

if TYPE_CHECKING:
    from edgeguard.verdict_cache import AnswerCache

T = TypeVar("T")


@dataclass(frozen=True)
class How:
    """How one conversation is judged.

    ``fresh``: give the same bits whatever was asked before. ``shares``: compute the categories'
    probabilities too. ``deadline`` is a time of ``time.monotonic()``.
    """

    policy: Policy
    fresh: bool
    shares: bool
    deadline: float | None
    cancel: Cancellation | None


@dataclass(frozen=True)
class Asking:
    """Asks one model. ``shares``: always compute the categories' probabilities.

    ``is_stream``: the model is a Qwen3Guard-Stream, which labels tokens.
    """

    model: Model
    thread: ModelThread
    model_id: ModelId
    device: str
    shares: bool
    answers: AnswerCache | None
    is_stream: bool

    def begin(
        self,
        conversation: Conversation,
        how: How,
        decode: Callable[[Question, Decoded | None], Decoded] | None = None,
    ) -> Check:
        """Write the questions; each step asks the next one, through ``decode`` if given.

        Raises InputTooLongError, ClosedError, CancelledError, TimeoutError, SessionError.
        """
        started = time.perf_counter()
        written, others = self.run(lambda: self._questions(conversation, how), how)
        return Check(
            written,
            decode or (lambda question, ahead: self.decoded(question, how, ahead)),
            Judge(self.model_id, self.device, how.policy),
            time.perf_counter() - started,
            others,
            conversation.place,
            conversation.not_judged,
            self.wants_categories(how),
        )

    def _questions(
        self, conversation: Conversation, how: How
    ) -> tuple[list[Question], list[Question]]:
        """The questions for the text as written, and for the normalised one if it differs."""
        windows, messages = self.model.get().windows, conversation.messages
        written = windows.questions(messages)
        if not how.policy.normalise:
            return written, []
        from edgeguard.normalise import normalised

        plain = normalised(messages)
        return written, [] if plain == messages else windows.questions(plain)

    def decoded(self, question: Question, how: How, ahead: Decoded | None = None) -> Decoded:
        """The answer to one question: from the cache, computed ahead, or from the model."""
        shares = self.wants_categories(how)
        known = self.remembered(question, how)
        if known is None and ahead is not None and not how.fresh:
            known = ahead
            self.remember(question, known, how)
        if known is None:
            known = self.run(
                lambda: self.model.get().decoder.decode(
                    question, fresh=how.fresh, categories=shares
                ),
                how,
            )
            self.remember(question, known, how)
        return known

    def remembered(self, question: Question, how: How) -> Decoded | None:
        """The answer in the cache; None if there is none."""
        if self.answers is None or self._goes_by_tokens(question, how.policy):
            return None
        return self.answers.find(question, fresh=how.fresh, categories=self.wants_categories(how))

    def remember(self, question: Question, decoded: Decoded, how: How) -> None:
        """Store an answer in the cache."""
        if self.answers is not None and not self._goes_by_tokens(question, how.policy):
            self.answers.keep(question, decoded, fresh=how.fresh)

    def wants_categories(self, how: How) -> bool:
        """Whether an answer needs the categories' probabilities."""
        return self.shares or how.shares or how.policy.needs_categories

    def run(self, function: Callable[[], T], how: How) -> T:
        """Call in the model's thread. Raises CancelledError, TimeoutError, ClosedError."""
        return self.thread.run(function, cancel=how.cancel, deadline=how.deadline)

    def _goes_by_tokens(self, question: Question, policy: Policy) -> bool:
        """Whether the policy needs labels of tokens, which the cache does not keep."""
        return self.is_stream and question.mode == "response" and not policy.goes_by_severity
