"""The results of a Qwen3Guard-Stream for a response that is still being written.

Positions are in characters of the response as it was fed. This module computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeguard.policy import Decision
from edgeguard.protocol.names import Severity


@dataclass(frozen=True)
class TokenLabel:
    """The heads' result for one token, from character ``start`` to ``end``.

    ``probabilities`` are in the order of SEVERITIES, ``categories`` in that of the protocol's side.
    """

    start: int
    end: int
    severity: Severity
    probabilities: tuple[float, ...]
    categories: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What is known of a text so far.

    ``severity`` never becomes milder, and ``decision`` never changes once it has a reason. The text
    is judged up to ``judged_to`` and may be shown up to ``safe_to``, which stays where the harm
    began once that is flagged. ``span`` is the position of the run of tokens that gave the reason.
    ``tokens`` counts those read, ``windows`` the overlapping parts in which they were read.
    ``category_probabilities`` are those of the token that decides, in the order of CATEGORIES.
    """

    severity: Severity
    probabilities: tuple[float, ...]
    categories: tuple[str, ...]
    decision: Decision
    judged_to: int
    safe_to: int
    span: tuple[int, int] | None
    tokens: int
    windows: int
    category_probabilities: tuple[tuple[str, float], ...] | None = None
