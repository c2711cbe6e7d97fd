"""Texts of several jobs, or of one, computed in common passes before their turns.

The next texts of jobs that wait are begun and answered beside that of the job whose turn it is,
where they are short. Their own turns then only take the answers; if anything went wrong, those
turns find out by themselves. This module raises nothing: it only saves time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from edgeguard.cancellation import Cancellation
from edgeguard.errors import EdgeguardError
from edgeguard.guard import Guard
from edgeguard.session.settings import most_in_a_pass
from edgeguard.worker.job import Job


def answer_together(
    guard: Guard, jobs: Sequence[Job[Any]], aborted: Cancellation
) -> tuple[int, float]:
    """Answer the next texts of the jobs; the tokens that were read, and in how many seconds.

    Ends early when all of them were given up, or when ``aborted``.
    """
    if most_of(guard) == 1:
        return 0, 0.0
    most = -(-most_of(guard) // len(jobs))
    checks = {check: job for job in jobs for check in job.prepared(guard, most)}
    if len(checks) < 2:
        return 0, 0.0
    began = time.perf_counter()
    try:
        with _until_all_left(set(checks.values()), aborted) as cancel:
            answered = guard.answer_ahead(list(checks), cancel=cancel)
    except EdgeguardError:
        return 0, 0.0
    seconds = time.perf_counter() - began
    for check in answered:
        checks[check].took(check, seconds / len(answered))
    return sum(len(check.next_question.tokens) for check in answered), seconds


def most_of(guard: Guard) -> int:
    """How many texts may share a pass."""
    return most_in_a_pass(guard.settings)


@contextmanager
def _until_all_left(jobs: Collection[Job[Any]], aborted: Cancellation) -> Iterator[Cancellation]:
    """Cancelled when every one of the jobs is, or ``aborted``."""
    cancel, left = Cancellation(), set(jobs)

    def leave(job: Job[Any]) -> None:
        left.discard(job)
        if not left:
            cancel.cancel()

    with ExitStack() as stack:
        stack.enter_context(aborted.heard_by(cancel.cancel))
        for job in jobs:
            stack.enter_context(job.cancellation.heard_by(partial(leave, job)))
        yield cancel
