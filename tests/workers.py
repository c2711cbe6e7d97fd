"""A worker on any session, and what tests ask it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgeguard import Guard
from edgeguard.conversation import read_messages
from edgeguard.protocol.messages import Message
from edgeguard.session.interface import Session
from edgeguard.worker.job import Text
from edgeguard.worker.worker import Worker


@contextmanager
def working(session: Session, **how: Any) -> Iterator[Worker]:
    """A worker that is ready, or has failed; it is stopped at the end."""
    known = threading.Event()
    worker = Worker(
        lambda _: Guard.with_session(session),
        on_ready=lambda _guard: known.set(),
        on_failure=lambda _error: known.set(),
        **how,
    )
    worker.start()
    try:
        assert known.wait(20)
        yield worker
    finally:
        worker.stop()


def prompt(text: str, **options: Any) -> Text:
    """A user's message, to be judged."""
    return Text(read_messages([Message("user", text)]), options)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds, in an event loop. Raises AssertionError after twenty seconds."""
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")
