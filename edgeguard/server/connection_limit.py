"""Limits the number of connections, and chooses which one to close when there are too many.

Each connection needs a file descriptor, and a process has few; without a free one it can accept
nobody. So the number of connections is kept lower than that: of those without a request, the one
that has been idle longest is closed. This module reads no byte of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from edgeguard.server.log import Seldom

MOST = 1000
"""Connections at once, where the process may have that many files."""
ACCEPTED_AT_ONCE = 4
"""asyncio accepts so many before it looks at any of them."""
_RESERVE = 16 + 4 * ACCEPTED_AT_ONCE
"""Files for everything else: the model, libraries, pipes, connections that come and go."""
_LEAST = 4

_logger = logging.getLogger(__name__)


class Visitor(Protocol):
    """A connection, as far as its limit knows it."""

    @property
    def is_quiet(self) -> bool:
        """Whether no request of it is being answered."""

    def throw_out(self) -> None:
        """End it at once."""


class ConnectionLimit:
    """The connections of one server, the longest quiet ones first."""

    def __init__(self, most: int | None = None) -> None:
        """``most`` is how many may be open; None takes what the process can have."""
        self._most = most_connections() if most is None else most
        self._open: dict[Visitor, None] = {}
        self._warnings: dict[str, Seldom] = {}
        self._is_closed = False
        self.counted: Callable[[str], None] = lambda _why: None

    @property
    def most(self) -> int:
        """How many may be open."""
        return self._most

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """The server stops: who was accepted already, and comes in only now, goes at once."""
        self._is_closed = True

    def enter(self, visitor: Visitor) -> None:
        """A connection was opened; where there are too many, one is thrown out."""
        self._open[visitor] = None
        if self._is_closed:
            visitor.throw_out()
        elif len(self._open) > self._most:
            quiet = next((each for each in self._open if each.is_quiet), visitor)
            self.refuse(
                "too_many",
                f"{self._most} connections are open, the most that are kept: the ones that ask "
                "nothing are closed, the longest quiet first; `ulimit -n` says how many files a "
                "process may have",
            )
            self.leave(quiet)
            quiet.throw_out()

    def moved(self, visitor: Visitor) -> None:
        """It has been quiet for no time at all."""
        if visitor in self._open:
            del self._open[visitor]
            self._open[visitor] = None

    def leave(self, visitor: Visitor) -> None:
        """It was closed."""
        self._open.pop(visitor, None)

    def refuse(self, why: str, message: str) -> None:
        """Count a connection that was ended, and log the reason now and then."""
        self.counted(why)
        self._warnings.setdefault(why, Seldom(_logger)).warn(message)


def most_connections() -> int:
    """What the limit of open files leaves room for."""
    try:
        import resource
    except ImportError:  # Windows: its limit is far above
        return MOST
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(_LEAST, min(MOST, files - _RESERVE))
