"""What a server says of the next token: log probabilities of some of all tokens.

Some servers give those of the tokens that were asked for, others those of the likeliest. A token
that is not in the list has at most the probability of the last one in it. Where that is next to
nothing beside what is known, it stands for the token; else there is no answer, but an error:
no probability is made up. This module asks nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeguard.errors import SessionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEXT_TO_NOTHING = 1e-3
"""The share of what is known that all unknown tokens together may have at most."""
_ROUNDING = 1e-2
"""By so much the probabilities of a server that computes in 16 bits may add up to more than 1."""
_LOWEST = -1e30  # servers write -inf as some very low number, since JSON has no infinity


@dataclass(frozen=True)
class NextToken:
    """Log probabilities by token id.

    ``least``: no other token has more than this; None where nothing is known of the others.
    """

    logprobs: Mapping[int, float]
    least: float | None = None

    def knows(self, wanted: Iterable[int]) -> bool:
        """Whether it has all of these tokens."""
        return all(token in self.logprobs for token in wanted)

    def logits(self, wanted: Sequence[int], n_vocab: int) -> NDArray[np.float32]:
        """As Session.read gives them: the wanted ones, and the whole rest at one other token.

        Raises SessionError.
        """
        import numpy as np

        logits = np.full(n_vocab, -np.inf, dtype=np.float32)
        known = {token: self.logprobs[token] for token in wanted if token in self.logprobs}
        mass = math.fsum(math.exp(value) for value in known.values())
        bound = self._bound(len(set(wanted)) - len(known), mass)
        for token in wanted:
            logits[token] = known.get(token, bound)
        rest = 1.0 - mass
        if rest > 0.0:
            other = next(token for token in range(n_vocab) if token not in set(wanted))
            logits[other] = math.log(rest)
        return logits

    def _bound(self, unknown: int, mass: float) -> float:
        if unknown == 0:
            return -math.inf
        if self.least is None:
            raise SessionError(
                "the server left out log probabilities that it was asked for: see that it is not "
                "told to keep them back"
            )
        if unknown * math.exp(self.least) > NEXT_TO_NOTHING * mass:
            raise SessionError(
                f"the server gives the {len(self.logprobs)} likeliest tokens, which is too few to "
                "tell how likely the words of the answer are: have it give more (vLLM: "
                "--max-logprobs 200), or take a newer version of it"
            )
        return self.least


def next_token(pairs: Iterable[tuple[object, object]], *, is_top: bool) -> NextToken:
    """What a server's pairs of an id and a log probability say; ``is_top``: of the likeliest.

    Raises SessionError for what cannot be log probabilities.
    """
    logprobs: dict[int, float] = {}
    for token, value in pairs:
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise SessionError("the server names a token by something else than its id")
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise SessionError("the server gives no number as a log probability")
        logprobs[token] = max(float(value), _LOWEST)
    if not logprobs:
        raise SessionError("the server gives no log probabilities: see that it is told to")
    if math.fsum(math.exp(min(value, 1.0)) for value in logprobs.values()) > 1.0 + _ROUNDING:
        raise SessionError(
            "what the server gives are no log probabilities: they add up to more than 1 (vLLM: "
            "start it without --logprobs-mode)"
        )
    return NextToken(logprobs, min(logprobs.values()) if is_top else None)
