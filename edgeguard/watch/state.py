"""How far a response is judged, and what that says; immutable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from edgeguard.protocol.names import SAFE, Severity
from edgeguard.verdict import Probabilities

_CERTAIN = Probabilities((1.0, 0.0, 0.0))


@dataclass(frozen=True)
class WatchState:
    """What is known of a response so far. Places count the characters that were fed, from 0.

    ``judged_to``: so many are judged. ``safe_to``: so many may be shown; it never goes back, and
    stays where it is once the response is ``flagged``, which it then stays. ``span`` is where harm
    was found: it begins at ``span[0]`` at the earliest and is there at ``span[1]``. ``severity``,
    ``categories`` and ``probabilities`` are those of the worst that was found; ``reason`` says
    which rule flagged it. ``windows`` counts the parts in which a long response is read.
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
