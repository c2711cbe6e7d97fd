"""A problem as `edgeguard doctor` reports it: what is wrong, and what to do.

This module only defines it; report, native and environment find problems.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeguard.errors import EdgeguardError


@dataclass(frozen=True)
class Problem:
    """Something wrong, what to do about it, and whether it keeps `edgeguard check` from running."""

    what: str
    todo: str
    stops: bool


def of_error(error: EdgeguardError, *, stops: bool) -> Problem:
    """An error as a problem: our messages say what failed, a semicolon, and what to do."""
    what, _, todo = str(error).partition("; ")
    return Problem(what, todo or "read the message above", stops)
