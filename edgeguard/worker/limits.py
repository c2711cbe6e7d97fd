"""What one caller may cost the model. Imports nothing: `edgeguard serve --help` reads it."""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT = 600.0
"""Seconds of computing for one request: as long as OpenAI's clients wait."""


@dataclass(frozen=True)
class Limits:
    """What one request may cost: tokens of all its questions, seconds of computing."""

    tokens: int
    seconds: float
