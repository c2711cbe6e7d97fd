"""Verdicts on prompts and answers, and what a failure of the guard means.

A verdict is recorded in the metrics and in the audit log. Recent verdicts are remembered by digest,
since a system text or the definitions of tools come again and again. The guard decides whether
something is flagged; the settings decide whether that stops it: ``observe`` lets it through.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeguard.async_guard import AsyncGuard
from edgeguard.async_watch import AsyncWatch
from edgeguard.conversation.recent import Recent
from edgeguard.conversation.value import UNKNOWN, Conversation
from edgeguard.errors import EdgeguardError
from edgeguard.proxy.audit import Audit
from edgeguard.proxy.counts import Counts
from edgeguard.proxy.requests import Asked
from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.metrics import Metrics
from edgeguard.verdict import Verdict
from edgeguard.worker.worker import reason as reason_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What happens to a prompt or an answer. ``verdict`` is None if the guard failed."""

    stops: bool
    verdict: Verdict | None
    failed: bool = False

    @property
    def word(self) -> str:
        """The result in one word, for a header."""
        if self.verdict is None:
            return "not judged"
        return "flagged" if self.verdict.flagged else "passed"


class Case:
    """One request being judged."""

    def __init__(self, judge: Judge, request_id: str, route: str) -> None:
        self._judge = judge
        self._id = request_id
        self._route = route

    async def prompt(self, parts: Sequence[Conversation]) -> Decision | None:
        """Judge the prompt; the first flagged part counts. None without parts."""
        judged: Decision | None = None
        for part in parts:
            judged = await self._check("prompt", part)
            if judged.stops or (judged.verdict is not None and judged.verdict.flagged):
                return judged
        return judged

    async def answer(self, asked: Asked, text: str) -> Decision:
        """Judge an answer that came in one piece."""
        return await self._check("answer", asked.conversation.answered(text))

    async def begin(self, asked: Asked) -> tuple[Decision, AsyncWatch | None]:
        """Judge the prompt, and begin to watch its answer; no watch if it was not judged."""
        before = await self.prompt(asked.parts[:-1])
        if before is not None and (before.stops or before.failed):
            return before, None
        text = asked.conversation.messages[-1].content
        watch = self.watch(asked)
        try:
            await watch.__aenter__()
        except EdgeguardError as error:
            return self.failure("prompt", error, text), None
        assert watch.prompt is not None
        self._judge.metrics.verdict(watch.prompt)
        found = self._decided("prompt", watch.prompt, text)
        was_flagged = before is not None and before.word == "flagged"  # flagged, but only observed
        return (before if was_flagged and before else found), watch

    def watch(self, asked: Asked) -> AsyncWatch:
        """Begin to watch an answer that grows."""
        settings = self._judge.settings
        return self._judge.guard.watch(
            asked.conversation,
            interval=settings.interval,
            in_a_row=settings.in_a_row,
            timeout=settings.judge_timeout,
        )

    def watched(self, verdict: Verdict, text: str) -> Decision:
        """Record the verdict on an answer that grew."""
        self._judge.metrics.verdict(verdict)
        return self._decided("answer", verdict, text)

    def failure(self, stage: str, error: BaseException, text: str) -> Decision:
        """Record that the guard has no verdict."""
        _logger.error("request %s: the %s was not judged: %s", self._id, stage, reason_of(error))
        goes_on = self._judge.settings.fail_open or self._judge.settings.observe
        self._note(stage, "failed_open" if goes_on else "failed", text, None, type(error).__name__)
        return Decision(not goes_on, None, failed=True)

    async def error(self, text: str) -> Decision:
        """Judge the text of an upstream's error, for any client."""
        return await self._check("answer", UNKNOWN.answered(text))

    def empty(self) -> Decision:
        """Record an answer without any text."""
        self._note("answer", "passed", "", None, "there is no text")
        return Decision(False, None)

    def unread(self, stage: str, why: str) -> None:
        """Record something that cannot be judged: it is refused, or only observed."""
        action = "observed" if self._judge.settings.observe else "refused"
        self._note(stage, action, "", None, why)

    async def _check(self, stage: str, conversation: Conversation) -> Decision:
        key = _key(conversation)
        text = conversation.messages[-1].content
        verdict = self._judge.recent.get(key)
        try:
            if verdict is None:
                verdict = await self._judge.guard.check_messages(
                    conversation, timeout=self._judge.settings.judge_timeout
                )
                self._judge.recent.put(key, verdict)
                self._judge.metrics.verdict(verdict)
        except EdgeguardError as error:
            return self.failure(stage, error, text)
        return self._decided(stage, verdict, text)

    def _decided(self, stage: str, verdict: Verdict, text: str) -> Decision:
        observes = self._judge.settings.observe
        action = "passed" if not verdict.flagged else "observed" if observes else "blocked"
        self._note(stage, action, text, verdict, verdict.reason)
        return Decision(verdict.flagged and not observes, verdict)

    def _note(
        self, stage: str, action: str, text: str, verdict: Verdict | None, reason: str
    ) -> None:
        self._judge.counts.decided(stage, action)
        self._judge.audit.write(
            request_id=self._id,
            route=self._route,
            stage=stage,
            action=action,
            text=text,
            verdict=verdict,
            reason=reason,
        )


class Judge:
    """What the requests of one proxy have in common."""

    def __init__(self, guard: AsyncGuard, settings: ProxySettings, metrics: Metrics) -> None:
        """Raises OutputError if the audit log cannot be written."""
        self.guard = guard
        self.settings = settings
        self.metrics = metrics
        self.counts = Counts()
        self.audit = Audit(settings.audit_log, on_lost=self.counts.lost)
        self.recent: Recent[Verdict] = Recent(4096)

    def case(self, request_id: str, route: str) -> Case:
        """One request."""
        return Case(self, request_id, route)


def _key(conversation: Conversation) -> bytes:
    digest = hashlib.sha256()
    for message in conversation.messages:
        said: tuple[Any, ...] = (message.role, len(message.content), message.content)
        digest.update(repr(said).encode("utf-8", "surrogatepass"))
    return digest.digest()
