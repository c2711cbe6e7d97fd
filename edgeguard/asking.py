"""From a conversation to a check: which questions are asked of the model, and how.

The questions of the conversation as it is written and, where the policy wants it, of its normalised
form; asked in the model's thread, unless a cache of answers knows them. This module reads no
message and flags nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgeguard.cancellation import Cancellation
from edgeguard.check import Check, Judge
from edgeguard.conversation.value import Conversation
from edgeguard.decoder import Decoded
from edgeguard.normalise import normalised
from edgeguard.policy import Policy
from edgeguard.reloading import Model
from edgeguard.session.thread import ModelThread
from edgeguard.tokens import Question
from edgeguard.verdict import ModelId
from edgeguard.verdict_cache import AnswerCache


@dataclass(frozen=True)
class How:
    """How one conversation is judged.

    ``fresh``: the same bits in any order of calls. ``shares``: with those of the categories.
    ``deadline`` is a time of ``time.monotonic()``.
    """

    policy: Policy
    fresh: bool
    shares: bool
    deadline: float | None
    cancel: Cancellation | None


@dataclass(frozen=True)
class Asking:
    """Asks one model. ``shares``: always with those of the categories.

    ``is_stream``: it is a Qwen3Guard-Stream, which gives labels to tokens.
    """

    model: Model
    thread: ModelThread
    model_id: ModelId
    device: str
    shares: bool
    answers: AnswerCache | None
    is_stream: bool

    def begin(self, conversation: Conversation, how: How) -> Check:
        """Write the questions; the check asks them one a step.

        Raises InputTooLongError, ClosedError, CancelledError, TimeoutError, SessionError.
        """
        started = time.perf_counter()
        written, others = self.thread.run(
            lambda: self._questions(conversation, how), cancel=how.cancel, deadline=how.deadline
        )
        return Check(
            written,
            lambda question: self._decoded(question, how),
            Judge(self.model_id, self.device, how.policy),
            time.perf_counter() - started,
            others,
            conversation.place,
            conversation.not_judged,
        )

    def _questions(
        self, conversation: Conversation, how: How
    ) -> tuple[list[Question], list[Question]]:
        """The questions of the form as written, and of the normalised one where it differs."""
        windows, messages = self.model.get().windows, conversation.messages
        plain = normalised(messages) if how.policy.normalise else messages
        return windows.questions(messages), [] if plain == messages else windows.questions(plain)

    def _decoded(self, question: Question, how: How) -> Decoded:
        shares = self.shares or how.shares or how.policy.needs_categories

        def asked(question: Question) -> Decoded:
            return self.thread.run(
                lambda: self.model.get().decoder.decode(
                    question, fresh=how.fresh, categories=shares
                ),
                cancel=how.cancel,
                deadline=how.deadline,
            )

        if self.answers is None or self._goes_by_tokens(question, how.policy):
            return asked(question)
        return self.answers.answer(question, asked, fresh=how.fresh, categories=shares)

    def _goes_by_tokens(self, question: Question, policy: Policy) -> bool:
        """Whether an answer does not suffice: the cache keeps none of the labels of tokens."""
        return self.is_stream and question.mode == "response" and not policy.goes_by_severity
