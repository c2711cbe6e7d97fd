"""One conversation on its way to a verdict: its questions, judged one a step, and what they say.

A short text is one step. A long one takes several, and between two of them others get their turn.
This module does not read logits, and does not know which thread computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeguard.decoder import Decoded
from edgeguard.policy import Policy
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import SEVERITIES, SEVERITY_RANK, UNSAFE
from edgeguard.tokens import Question
from edgeguard.verdict import ModelId, Probabilities, Verdict


@dataclass(frozen=True)
class Judge:
    """Who judges: the model, where it runs, and the policy that flags."""

    model: ModelId
    device: str
    policy: Policy


class Check:
    """The questions of one conversation; ``step`` judges the next one.

    ``tokens`` and ``windows`` say beforehand what the whole check will read.
    """

    def __init__(
        self,
        questions: list[Question],
        decode: Callable[[Question], Decoded],
        judge: Judge,
        seconds: float,
    ) -> None:
        """``decode`` asks the model; ``seconds`` is what writing the questions took."""
        self._questions = questions
        self._decode = decode
        self._judge = judge
        self._seconds = seconds
        self._decoded: list[Decoded] = []
        self.tokens = sum(len(question.tokens) for question in questions)
        self.windows = len(questions)

    def step(self) -> Verdict | None:
        """Judge the next window; the verdict after the last one.

        Raises SessionError, ClosedError, ModelError, CancelledError, TimeoutError; a step that
        raised can be tried again, unless it was cancelled.
        """
        started = time.perf_counter()
        self._decoded.append(self._decode(self._questions[len(self._decoded)]))
        self._seconds += time.perf_counter() - started
        return self._verdict() if len(self._decoded) == self.windows else None

    def verdict(self) -> Verdict:
        """Judge whatever is left."""
        while (verdict := self.step()) is None:
            pass
        return verdict

    def _verdict(self) -> Verdict:
        """The verdict of one or more windows: the worst counts, and no category is lost."""
        windows, policy = self._decoded, self._judge.policy
        worst = worst_of(windows)
        severity = worst.answer.severity
        named = [worst, *windows]
        categories = tuple(dict.fromkeys(c for w in named for c in w.answer.categories))
        refusal = worst.answer.refusal
        if refusal is not None and any(w.answer.refusal == "No" for w in windows):
            refusal = "No"  # what complies anywhere is no refusal
        return Verdict(
            mode=self._questions[0].mode,
            severity=severity,
            probabilities=Probabilities(worst.probabilities),
            categories=categories,
            refusal=refusal,
            policy=policy.name,
            flagged=any(_flags(policy, window) for window in windows),
            answer=write(Answer(severity, categories, refusal)),
            model=self._judge.model,
            device=self._judge.device,
            tokens=self.tokens,
            windows=self.windows,
            seconds=round(self._seconds, 6),
            choices=worst.choices if len(windows) == 1 else (),
        )


def worst_of(windows: Sequence[Decoded]) -> Decoded:
    """The window that counts."""
    return max(windows, key=_badness)


def _flags(policy: Policy, window: Decoded) -> bool:
    return policy.flags(window.answer.severity, Probabilities(window.probabilities))


def _badness(window: Decoded) -> tuple[int, float]:
    unsafe = window.probabilities[SEVERITIES.index(UNSAFE)]
    return SEVERITY_RANK[window.answer.severity], unsafe
