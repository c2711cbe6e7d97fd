"""Counts bytes over all passes of a conversion and tells whoever wants to know.

It does not print and does not measure time.
"""

from __future__ import annotations

from edgeguard.console import Progress


class Meter:
    """How many of `total` bytes are done; `report` is called at each advance."""

    def __init__(self, total: int, report: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._report = report

    def advance(self, count: int) -> None:
        """Note that `count` more bytes are done; never more than the total."""
        self._done = min(self._done + count, self._total)
        if self._report is not None:
            self._report(self._done, self._total)
