"""Texts at which an answer should be cut: accepted if they cannot occur in an answer.

Clients often send `stop` by default, such as an empty line or "<|im_end|>". A text that can occur
would cut the answer, and without its categories it would be another verdict. This module cuts
nothing.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SEVERITIES


def can_stand(stop: str) -> bool:
    """Whether some answer holds the text."""
    if any(name in stop for name in CATEGORIES):
        return True
    return any(stop in answer for answer in _answers())


@cache
def _answers() -> tuple[str, ...]:
    """Every pair of neighbours; a text without a whole category spans no more."""
    named = ((), *((name,) for name in CATEGORIES), *permutations(CATEGORIES, 2))
    return tuple(
        write(Answer(severity, several, refusal))
        for severity in SEVERITIES
        for several in named
        for refusal in (None, *REFUSALS)
    )
