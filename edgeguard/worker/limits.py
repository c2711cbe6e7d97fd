"""What one caller may cost the model. Imports nothing heavy: `edgeguard serve --help` reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass

TIMEOUT = 600.0
"""Seconds of computing for one request: as long as OpenAI's clients wait."""


@dataclass(frozen=True)
class Limits:
    """Limits of one job: tokens of all its questions, seconds of computing; both may be inf."""

    tokens: float = math.inf
    seconds: float = math.inf
