"""How long a client may leave data unread before its connection is closed.

Both kinds of connection have one of these. This module reads and writes no byte.
"""

from __future__ import annotations

import asyncio

from edgeguard.server.connection_limit import ConnectionLimit, Visitor


class Unread:
    """The time that one connection has to take what waits for it."""

    def __init__(
        self,
        connection: Visitor,
        limit: ConnectionLimit,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
    ) -> None:
        self._connection = connection
        self._limit = limit
        self._loop = loop
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begins(self) -> None:
        """Something waits; from the first of it on the time runs."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self.is_over)

    def ends(self) -> None:
        """All of it was taken, or the connection is no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def is_over(self) -> None:
        """Let the client go, and say so."""
        self._limit.refuse(
            "answer_timeout",
            f"a client did not read its answer within {self._seconds:.0f} s; it was let go",
        )
        self._connection.throw_out()
