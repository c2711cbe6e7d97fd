"""The state of a service: what its manager reports, and whether it answers requests.

This module changes nothing.
"""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal

Condition = Literal["running", "starting", "failed", "stopped"]
_SECONDS = 5
_READY = re.compile(r"^(?P<model>.+) is ready at (?P<address>http://\S+)$")


@dataclass(frozen=True)
class State:
    """An installed service. ``said`` is its message when it became ready."""

    kind: str
    condition: Condition
    file: str
    pid: int | None = None
    restarts: int | None = None
    said: str = ""
    detail: str = ""
    """Further details: why it failed, that its file was changed."""

    @property
    def address(self) -> str | None:
        """The address where it listens."""
        found = _READY.match(self.said)
        return found["address"] if found else None

    @property
    def model(self) -> str | None:
        """The model that it loaded."""
        found = _READY.match(self.said)
        return found["model"] if found else None


def answers(address: str) -> bool:
    """Whether it can judge texts now."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=_SECONDS) as answer:
            return json.load(answer).get("status") in ("ok", "idle")
    except (OSError, ValueError, HTTPException, AttributeError):
        return False
