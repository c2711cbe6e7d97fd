"""A Qwen3Guard-Gen beside a response that is being written: asked again each time enough is new.

It is asked about the text up to the last word border, and at the end about all of it. The prefix
cache makes an ask cost what is new and the end of the question; that is some half a second on two
cores, so the intervals are in hundreds of characters, and harm is found when the next ask comes.
Windows of a long text that were judged are not judged again. What was found stays found.

This module does not know which thread computes, and makes no verdict of a policy.
"""

from __future__ import annotations

from collections.abc import Collection

from edgeguard.check import worst_of
from edgeguard.decoder import Decoded, Decoder
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import SAFE, SEVERITY_RANK, Severity
from edgeguard.protocol.visible import has_visible
from edgeguard.stream.interface import Reading, TokenLabel
from edgeguard.tokens import Question, last_seam
from edgeguard.windows import Windows

EVERY = 200
"""Characters that must be new before it is asked again: some fifty tokens of English."""


class AskedAtIntervals:
    """Judges one response; see Engine."""

    def __init__(
        self,
        decoder: Decoder,
        windows: Windows,
        *,
        harmful: Collection[Severity],
        every: int = EVERY,
    ) -> None:
        """``harmful``: the severities that flag."""
        self._decoder = decoder
        self._windows = windows
        self._harmful = frozenset(harmful)
        self._every = every
        self._messages: tuple[Message, ...] = ()
        self._text = ""
        self._judged: dict[tuple[int, ...], Decoded] = {}
        self._reading = Reading(
            severity=SAFE,
            probabilities=(1.0, 0.0, 0.0),
            categories=(),
            flagged=False,
            judged_to=0,
            safe_to=0,
            span=None,
            tokens=0,
            windows=1,
        )

    def begin(self, messages: tuple[Message, ...]) -> Reading:
        """Judge the user's message."""
        self._messages = messages
        return self._ask(messages)

    def feed(self, text: str) -> Reading:
        """Ask if enough is new; see Engine."""
        self._text += text
        border = last_seam(self._text[self._reading.judged_to :]) + self._reading.judged_to
        if border - self._reading.judged_to >= self._every:
            self._ask_about(border)
        elif len(self._text) - self._reading.judged_to >= 4 * self._every:
            self._ask_about(len(self._text))  # a text without borders
        return self._reading

    def end(self) -> Reading:
        """Ask about the whole response."""
        self._ask_about(len(self._text))
        return self._reading

    def labels(self) -> tuple[TokenLabel, ...]:
        """None: it has no labels of tokens."""
        return ()

    def close(self) -> None:
        """Nothing is held but what the session holds."""

    def _ask_about(self, end: int) -> None:
        text = self._text[:end]
        if has_visible(text):
            found = self._ask((*self._messages, Message("assistant", text)))
            self._reading = self._after(found, end)

    def _ask(self, messages: tuple[Message, ...]) -> Reading:
        questions = self._windows.questions(messages)
        judged = [self._decode(question) for question in questions]
        worst = worst_of(judged)
        names = dict.fromkeys(name for one in (worst, *judged) for name in one.answer.categories)
        return Reading(
            severity=worst.answer.severity,
            probabilities=worst.probabilities,
            categories=tuple(names),
            flagged=worst.answer.severity in self._harmful,
            judged_to=0,
            safe_to=0,
            span=None,
            tokens=sum(len(question.tokens) for question in questions),
            windows=len(questions),
            refusal=worst.answer.refusal,
        )

    def _decode(self, question: Question) -> Decoded:
        if question.tokens not in self._judged:
            self._judged[question.tokens] = self._decoder.decode(question)
        return self._judged[question.tokens]

    def _after(self, found: Reading, end: int) -> Reading:
        """What is known now, with what was known before: the worse of the two."""
        before = self._reading
        worse = max(before, found, key=lambda one: SEVERITY_RANK[one.severity])
        if worse is before and before.severity == found.severity:
            worse = found
        flagged = before.flagged or found.flagged
        span = before.span
        if found.flagged:
            span = (span[0] if span else before.judged_to, end)
        return Reading(
            severity=worse.severity,
            probabilities=worse.probabilities,
            categories=worse.categories,
            flagged=flagged,
            judged_to=end,
            safe_to=before.safe_to if flagged else end,
            span=span,
            tokens=found.tokens,
            windows=found.windows,
            refusal=found.refusal,
        )
