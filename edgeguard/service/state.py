"""How a service is: what its manager says of it, and whether it answers.

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
    """An installed service. ``said``: what it said of itself when it was ready."""

    kind: str
    condition: Condition
    file: str
    pid: int | None = None
    restarts: int | None = None
    said: str = ""
    detail: str = ""
    """What else there is to know: why it failed, that its file was changed."""

    @property
    def address(self) -> str | None:
        """Where it listens."""
        found = _READY.match(self.said)
        return found["address"] if found else None

    @property
    def model(self) -> str | None:
        """The model that it was ready with."""
        found = _READY.match(self.said)
        return found["model"] if found else None


def answers(address: str) -> bool:
    """Whether texts can be judged there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=_SECONDS) as answer:
            return json.load(answer).get("status") in ("ok", "idle")
    except (OSError, ValueError, HTTPException, AttributeError):
        return False
