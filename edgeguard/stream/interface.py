"""What a Qwen3Guard-Stream says of a response that is still being written.

Places are in characters of the response as it was fed. This module computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeguard.policy import Decision
from edgeguard.protocol.names import Severity


@dataclass(frozen=True)
class TokenLabel:
    """What the heads say of one token, which stands from ``start`` to ``end``.

    ``probabilities`` are in the order of SEVERITIES, ``categories`` in that of the protocol's side.
    """

    start: int
    end: int
    severity: Severity
    probabilities: tuple[float, ...]
    categories: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What is known of a text by now.

    ``severity`` never gets milder again, and ``decision`` never changes once there is a reason.
    ``judged_to``: the text is judged up to there. ``safe_to``: up to there it may be shown; it
    stays at where harm began once that is flagged. ``span``: where the tokens in a row stand that
    gave the reason. ``tokens`` counts those read, ``windows`` the overlapping parts in which they
    had to be read. ``category_probabilities`` are those of the token that decides, in the order of
    CATEGORIES.
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
