"""One conversation on its way to a verdict.

A check works in steps, one window of the text each. A short text takes one step; between the steps
of a long text, other checks may have their turn. If the policy asks for it, the normalised text is
judged as well, in steps of its own. The text is flagged if either form is, and the verdict is that
of the worse form.

This module does not read logits and does not know which thread computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeguard.decoder import Decoded
from edgeguard.policy import Decision, Evidence, Policy, decide
from edgeguard.policy.in_a_row import decide_in_a_row
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import SEVERITIES, SEVERITY_RANK, UNSAFE
from edgeguard.tokens import Question
from edgeguard.verdict import CategoryProbabilities, Form, ModelId, Probabilities, Verdict


@dataclass(frozen=True)
class Judge:
    """What judges: the model, the device it runs on, and the policy that flags."""

    model: ModelId
    device: str
    policy: Policy


class Check:
    """The questions of one conversation; ``step`` judges the next one.

    ``tokens`` and ``windows`` say in advance how much the whole check reads; ``questions`` are all
    of its questions.
    """

    def __init__(
        self,
        questions: list[Question],
        decode: Callable[[Question, Decoded | None], Decoded],
        judge: Judge,
        seconds: float,
        normalised: Sequence[Question] = (),
        message: int = 0,
        not_judged: tuple[str, ...] = (),
        categories: bool = False,
    ) -> None:
        """``decode`` asks the model, unless an answer computed ahead will do; ``seconds`` is how
        long it took to write the questions.

        ``normalised``: the questions for the normalised text, if it differs from the text.
        ``message`` and ``not_judged`` go into the verdict; ``categories``: their probabilities are
        needed too.
        """
        self.questions = (*questions, *normalised)
        self._written = len(questions)
        self._message = message
        self._not_judged = not_judged
        self._decode = decode
        self._judge = judge
        self._seconds = seconds
        self._decoded: list[Decoded] = []
        self._ahead: Decoded | None = None
        self.was_in_company = False  # its next question, with or without an answer that counts
        self.categories = categories
        self.tokens = sum(len(question.tokens) for question in self.questions)
        self.windows = len(self.questions)

    @property
    def fits(self) -> bool:
        """Whether each form of the text fits in one window."""
        return self._written == 1 and self.windows <= 2

    @property
    def policy(self) -> Policy:
        """The policy that decides."""
        return self._judge.policy

    @property
    def next_question(self) -> Question:
        """The question of the next step."""
        return self.questions[len(self._decoded)]

    @property
    def is_answered(self) -> bool:
        """Whether the answer to the next question is there already."""
        return self._ahead is not None

    def answered(self, decoded: Decoded | None) -> None:
        """Take what company made of the next question; None: it has to be asked alone."""
        self._ahead, self.was_in_company = decoded, True

    @property
    def token_probabilities(self) -> list[tuple[float, ...]]:
        """Probabilities by token of a response, in the order of SEVERITIES; none from a Gen."""
        return [
            tuple(token.probabilities.values()) for one in self._decoded for token in one.tokens
        ]

    def step(self) -> Verdict | None:
        """Judge the next window; returns the verdict after the last one.

        Raises SessionError, ClosedError, ModelError, CancelledError, TimeoutError; a step that
        raised can be repeated, unless it was cancelled.
        """
        started = time.perf_counter()
        self._decoded.append(self._decode(self.next_question, self._ahead))
        self._ahead, self.was_in_company = None, False
        self._seconds += time.perf_counter() - started
        return self._verdict() if len(self._decoded) == self.windows else None

    def took(self, seconds: float) -> None:
        """Add seconds that were spent on this check elsewhere."""
        self._seconds += seconds

    def verdict(self) -> Verdict:
        """Judge the windows that are left."""
        while (verdict := self.step()) is None:
            pass
        return verdict

    def _verdict(self) -> Verdict:
        forms: list[tuple[Form, list[Decoded]]] = [("as written", self._decoded[: self._written])]
        if self._written < self.windows:
            forms.append(("normalised", self._decoded[self._written :]))
        said = [_Form(form, windows, self._judge.policy) for form, windows in forms]
        worst = max(said, key=lambda one: one.badness)  # of equals: as written
        return self._of(worst)

    def _of(self, form: _Form) -> Verdict:
        """The verdict over one or more windows: the worst counts, and every category is kept."""
        worst, answer = form.windows[0], form.answer
        shares = worst.category_probabilities
        return Verdict(
            mode=self.questions[0].mode,
            severity=answer.severity,
            probabilities=Probabilities(worst.probabilities),
            categories=answer.categories,
            refusal=answer.refusal,
            policy=self._judge.policy.name,
            flagged=form.decision.flagged,
            answer=write(answer),
            model=self._judge.model,
            device=self._judge.device,
            tokens=self.tokens,
            windows=len(form.windows),
            seconds=round(self._seconds, 6),
            reason=form.decision.reason,
            observed=form.decision.observed,
            form=form.name,
            category_probabilities=None if shares is None else CategoryProbabilities(shares),
            cached=all(window.remembered for window in self._decoded),
            message=self._message,
            not_judged=self._not_judged,
            choices=worst.choices if len(form.windows) == 1 else (),
        )


class _Form:
    """The answers for one form of the text, the worst window first, and the policy's decision."""

    def __init__(self, name: Form, windows: Sequence[Decoded], policy: Policy) -> None:
        self.name = name
        self.windows = sorted(windows, key=_badness, reverse=True)
        self.decision = _decision(policy, self.windows)
        self.badness = (self.decision.reason != "", _badness(self.windows[0]))

    @property
    def answer(self) -> Answer:
        """The worst severity, every category, and a refusal only if every window refuses."""
        worst = self.windows[0].answer
        categories = dict.fromkeys(c for w in self.windows for c in w.answer.categories)
        refusal = worst.refusal
        if refusal is not None and any(w.answer.refusal == "No" for w in self.windows):
            refusal = "No"  # a text that complies anywhere is not a refusal
        return Answer(worst.severity, tuple(categories), refusal)


def _decision(policy: Policy, windows: Sequence[Decoded]) -> Decision:
    if not windows[0].tokens:
        return decide(policy, [evidence_of(window) for window in windows])
    decisions = [decide_in_a_row(policy, window.tokens) for window in windows]
    return next((one for one in decisions if one.reason), decisions[0])


def evidence_of(window: Decoded) -> Evidence:
    """What a policy uses of an answer."""
    shares = window.category_probabilities
    return Evidence(
        window.answer.severity,
        Probabilities(window.probabilities),
        window.answer.categories,
        window.answer.refusal,
        None if shares is None else dict(shares),
    )


def _badness(window: Decoded) -> tuple[int, float]:
    unsafe = window.probabilities[SEVERITIES.index(UNSAFE)]
    return SEVERITY_RANK[window.answer.severity], unsafe
