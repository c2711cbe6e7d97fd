"""Watches with a Qwen3Guard-Stream, which labels each token and computes it once.

New text is judged at once, up to the last word that is final. A token that may be the first of two
harmful ones is judged, but not released before the next one is judged too.

If the model was unloaded meanwhile (idle_unload), it is loaded again and reads the response from
the beginning. This module knows no tokens (edgeguard.stream.judge does).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from edgeguard.conversation.value import UNKNOWN, Conversation
from edgeguard.errors import InputError
from edgeguard.policy import Policy
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import Mode
from edgeguard.session.stream_interface import StreamSession
from edgeguard.stream.interface import Reading, TokenLabel
from edgeguard.verdict import CategoryProbabilities, Probabilities, Verdict
from edgeguard.watch.watch import Judged

if TYPE_CHECKING:
    from edgeguard.loading import Loaded
    from edgeguard.stream.judge import StreamJudge

T = TypeVar("T")


class Run(Protocol):
    """Calls a function in the model's thread, and waits for it."""

    def __call__(self, function: Callable[[], T]) -> T:
        """Returns or raises what the function does."""


class StreamEngine:
    """Reads labels of tokens; see edgeguard.watch.watch.Engine."""

    def __init__(
        self,
        conversation: Conversation | None,
        policy: Policy,
        in_a_row: int,
        model: Callable[[], Loaded],
        run: Run,
        free: Callable[[Callable[[], None]], None],
    ) -> None:
        """``model`` returns the model, in its thread. The conversation is judged now.

        ``free`` calls a function too, but cannot be cancelled. If ``conversation`` is None, the
        response is judged as one to an unknown prompt. Raises InputError if its last message is not
        the user's.
        """
        if conversation is not None and conversation.messages[-1].role != "user":
            raise InputError("the last message must be the user's: the response to it is watched")
        self._conversation = conversation or UNKNOWN
        self._messages = self._conversation.messages
        self._policy, self._in_a_row = policy, in_a_row
        self._model = model
        self._run, self._free = run, free
        self._loaded: Loaded | None = None
        self._judge: StreamJudge | None = None
        self._given = 0
        self._ended = False
        self._seconds = 0.0
        reading = self._timed(self._begin)
        self.prompt = self._verdict(reading, "prompt") if conversation else None

    def read(self, text: str, *, last: bool) -> Judged | None:
        """Judge the new text."""
        if self._ended or (len(text) == self._given and not last):
            return None
        reading = self._timed(lambda: self._read(text, last))
        self._given, self._ended = len(text), last
        verdict = self._verdict(reading, "response")
        start = reading.span[0] if verdict.flagged and reading.span else None
        return Judged(reading.judged_to, verdict, start, reading.windows, reading.safe_to)

    def labels(self) -> tuple[TokenLabel, ...]:
        """The labels of the tokens judged so far."""
        return () if self._judge is None else self._judge.labels()

    def close(self) -> None:
        """Free the context of this response."""
        judge, self._judge = self._judge, None
        if judge is not None:
            self._free(judge.close)

    def _read(self, text: str, last: bool) -> Reading:
        judge = self._current()
        reading = judge.feed(text[judge.length :])  # keeps the text even if it fails
        return judge.end() if last else reading

    def _begin(self) -> Reading:
        """Make a judge, which reads the conversation."""
        from edgeguard.stream.judge import StreamJudge  # loads numpy

        loaded = self._model()
        assert loaded.heads is not None
        session = cast(StreamSession, loaded.session)
        judge = StreamJudge(session, loaded.heads, policy=self._policy, in_a_row=self._in_a_row)
        try:
            reading = judge.begin(self._messages)
        except BaseException:
            judge.close()
            raise
        self._loaded, self._judge = loaded, judge
        return reading

    def _current(self) -> StreamJudge:
        if self._model() is not self._loaded:
            self._begin()
        assert self._judge is not None
        return self._judge

    def _timed(self, function: Callable[[], Reading]) -> Reading:
        started = time.perf_counter()
        try:
            return self._run(function)
        finally:
            self._seconds += time.perf_counter() - started

    def _verdict(self, reading: Reading, mode: Mode) -> Verdict:
        loaded = self._loaded
        assert loaded is not None
        probabilities = Probabilities(reading.probabilities)
        shares = reading.category_probabilities
        return Verdict(
            mode=mode,
            severity=reading.severity,
            probabilities=probabilities,
            categories=reading.categories,
            refusal=None,
            policy=self._policy.name,
            flagged=reading.decision.flagged,
            answer=write(Answer(reading.severity, reading.categories, None)),
            model=loaded.model,
            device=loaded.session.info.device,
            tokens=reading.tokens,
            windows=reading.windows,
            seconds=round(self._seconds, 6),
            reason=reading.decision.reason,
            observed=reading.decision.observed,
            category_probabilities=None if shares is None else CategoryProbabilities(shares),
            message=self._conversation.place + (mode == "response"),
            not_judged=self._conversation.not_judged,
        )
