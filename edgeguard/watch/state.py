"""How far a response is judged, and with what result; immutable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from edgeguard.protocol.names import SAFE, Severity
from edgeguard.verdict import Probabilities

_CERTAIN = Probabilities((1.0, 0.0, 0.0))


@dataclass(frozen=True)
class WatchState:
    """What is known of a response so far. Positions count the characters fed, from 0.

    The text is judged up to ``judged_to`` and may be shown up to ``safe_to``. The latter never
    decreases, and stays where it is once the response is ``flagged``, which is final. ``span`` is
    where harm was found: it begins at ``span[0]`` at the earliest and is there at ``span[1]``.
    ``severity``, ``categories`` and ``probabilities`` are the worst found so far; ``reason`` is the
    rule that flagged it. ``windows`` counts the parts in which a long response is read.
    """

    flagged: bool = False
    judged_to: int = 0
    safe_to: int = 0
    span: tuple[int, int] | None = None
    severity: Severity = SAFE
    categories: tuple[str, ...] = ()
    probabilities: Probabilities = field(default=_CERTAIN)
    reason: str = ""
    windows: int = 1

    def to_dict(self) -> dict[str, object]:
        """Plain values only, ready for any serialiser."""
        plain = asdict(self)
        plain["probabilities"] = dict(self.probabilities)
        plain["categories"] = list(self.categories)
        plain["span"] = None if self.span is None else list(self.span)
        return plain
