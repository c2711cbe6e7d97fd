"""How long to wait before a busy hub is asked again.

A hub that answers 429, 500, 502, 503 or 504 usually recovers within a minute. It is asked up to
five more times, after the time that it names (Retry-After), else after 2, 4, 8, 16 and 32 seconds.
This module neither asks nor waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

_BUSY = (429, 500, 502, 503, 504)
WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""In seconds."""
_LONGEST = 120.0
"""The longest wait, in seconds, whatever the hub asks for."""


def wait(status: int, headers: Mapping[str, str], refusals: int) -> float | None:
    """Seconds to wait after a refusal that followed ``refusals`` others; None: give up."""
    if status not in _BUSY or refusals >= len(WAITS):
        return None
    asked = _seconds(headers.get("Retry-After", ""))
    return WAITS[refusals] if asked is None else min(asked, _LONGEST)


def _seconds(text: str) -> float | None:
    """The seconds in Retry-After, which is a number or a date."""
    if text.isascii() and text.isdecimal():
        return float(min(int(text[:9]), 10**9))
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max((date - datetime.now(timezone.utc)).total_seconds(), 0.0)
