"""What the adapters share: the guard they use, and the wording of a verdict.

This module knows no framework.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import EdgeguardError
from edgeguard.protocol.visible import has_visible
from edgeguard.verdict import Verdict

T = TypeVar("T")

REFUSAL = "I can't help with that."
"""What a user sees in place of flagged text, unless another refusal is configured."""


class FlaggedError(EdgeguardError):
    """A text was flagged; ``verdict`` says why, and the message does not quote it."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"the {verdict.mode} was flagged ({why(verdict)})")
        self.verdict = verdict


def default_guard() -> AsyncGuard:
    """A guard with the command line's settings: EDGEGUARD_MODEL and EDGEGUARD_POLICY."""
    policy = os.environ.get("EDGEGUARD_POLICY", "strict")
    return shared_guard(os.environ.get("EDGEGUARD_MODEL"), policy)


@cache
def shared_guard(model: str | None, policy: str) -> AsyncGuard:
    """This process's guard with this model and policy; another would load the model again."""
    return AsyncGuard(model, policy=policy)


def why(verdict: Verdict) -> str:
    """The reason of a flagged verdict in a few words, without the text."""
    named = ", ".join(verdict.categories) or verdict.reason or "no category"
    return f"{verdict.severity}: {named}"


async def judge_prompt(guard: AsyncGuard, text: str) -> Verdict | None:
    """The verdict on a user's text; None if it has no visible character."""
    return await guard.check(text) if has_visible(text) else None


async def judge_response(guard: AsyncGuard, messages: Sequence[Any], text: str) -> Verdict | None:
    """The verdict on an answer to ``messages``; None if it has no visible character.

    The messages may have any form that the guard reads. Without messages, it is judged as an answer
    to an unknown prompt. Pictures in the messages are skipped: they were judged or refused when the
    prompt was.
    """
    if not has_visible(text):
        return None
    answer = {"role": "assistant", "content": text}
    return await guard.check_messages([*messages, answer], tool_calls=True, skip_media=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work`` for synchronous code, whether or not an event loop runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()
