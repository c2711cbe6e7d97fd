"""An answer while it is written: what is held back, the logits, the choices, the probabilities.

A token that is the only possible one is not sampled: it waits, and is computed together with those
after it. What should be computed is yielded as Read or Extend; who holds the generator computes it
and sends the logits.

This module does not know which answers there are: it is given the options and their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from edgeguard.errors import ModelError
from edgeguard.protocol.answer import Option
from edgeguard.protocol.names import NO_CATEGORY
from edgeguard.session.interface import Extend, Read, Session
from edgeguard.tokens import Question
from edgeguard.verdict import Choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Way:
    """An option, and its tokens that are still to be written."""

    tokens: tuple[int, ...]
    option: Option


Shares = tuple[tuple[str, float], ...]
T = TypeVar("T")
Passes: TypeAlias = "Generator[Read | Extend, NDArray[np.float32], T]"
"""A generator that yields requests for a session, is sent the logits, and returns a result."""


class Writer:
    """The answer being written: tokens held back, and the logits after them on request."""

    def __init__(
        self,
        session: Session,
        question: Question,
        exact: bool,
        room: int,
        ahead: tuple[int, ...],
    ) -> None:
        self._session = session
        self._ahead = ahead
        self._question = question
        self._exact = exact
        self._room = room
        self._waiting: list[int] = []
        self._written = 0
        self._extended = 0  # tokens in the session since the severity was decided
        self._strayed = 0  # tokens in the session that are not part of the answer
        self.choices: list[Choice] = []
        self._logits: NDArray[np.float32] | None = None

    def write_shared(self, ways: list[Way]) -> list[Way]:
        """Write the tokens that all options begin with; returns the options without them."""
        shared = shared_length(ways)
        self._waiting.extend(ways[0].tokens[:shared])
        self._written += shared
        return [Way(way.tokens[shared:], way.option) for way in ways]

    def choose(self, tokens: list[int]) -> Passes[int]:
        """The most likely of the tokens that may come next."""
        import numpy as np

        logits = (yield from self.logits(tuple(tokens)))[tokens]
        shares = softmax(logits.astype("float64"))
        named = zip((self._session.token_bytes(token) for token in tokens), shares)
        self.choices.append(Choice(self._written, tuple(named)))
        # argmax takes the lowest id of several maxima, as llama.cpp's greedy sampler does.
        return tokens[int(np.argmax(logits))]

    def logits(self, wanted: tuple[int, ...]) -> Passes[NDArray[np.float32]]:
        """The logits after everything written so far; tokens held back are computed in one pass.

        ``wanted``: at least of these tokens, unless logits were computed here already.
        """
        if self._logits is None:
            asked = self._question
            self._logits = yield Read(
                (*asked.tokens, *self._waiting),
                room=self._room - len(self._waiting),  # reserve space for the whole answer
                prefix=asked.prefix,
                suffix=asked.suffix + len(self._waiting),
                exact=self._exact,
                ahead=self._ahead,
                wanted=wanted,
            )
        elif self._waiting:
            self._logits = yield Extend(tuple(self._waiting), self._strayed, wanted)
            self._extended += len(self._waiting)
            self._strayed = 0
        self._waiting = []
        return self._logits

    def look(self, tokens: tuple[int, ...], wanted: tuple[int, ...]) -> Passes[NDArray[np.float32]]:
        """The logits after some more tokens, which do not become part of the answer."""
        logits = yield from self.logits(wanted)
        if not tokens:
            return logits
        logits = yield Extend(tokens, self._strayed, wanted)
        self._strayed = len(tokens)
        return logits

    def go_back(self, tokens: tuple[int, ...]) -> None:
        """Replace everything after the severity with these tokens; the answer is complete."""
        self._strayed += self._extended
        self._extended = 0
        self._waiting = list(tokens)


def softmax(logits: NDArray[np.float64]) -> tuple[float, ...]:
    """The probabilities, in the order of the logits."""
    import numpy as np

    shares = np.exp(logits - np.max(logits))
    return tuple(float(share) for share in shares / shares.sum())


def next_tokens(ways: list[Way]) -> tuple[int, ...]:
    """The tokens that may come next, where all ways part."""
    return tuple(sorted({way.tokens[0] for way in ways}))


def shared_length(ways: list[Way]) -> int:
    """How many tokens all options begin with."""
    shared = 0
    while all(len(way.tokens) > shared for way in ways) and (
        len({way.tokens[shared] for way in ways}) == 1
    ):
        shared += 1
    return shared


def category_shares(writer: Writer, ways: list[Way], *, more_passes: bool) -> Passes[Shares | None]:
    """The softmax over the categories, in the order of the options, as if one had to be named.

    A name's probability is the product of the softmaxes where it differs from other names. None if
    that would take ``more_passes`` than the one that decides.
    """
    named = [way for way in ways if way.option.value != NO_CATEGORY]
    found: dict[str, float] = {}
    branches: list[tuple[tuple[int, ...], float, list[Way]]] = [((), 1.0, named)]
    while branches:
        before, mass, rest = branches.pop()
        if len(rest) == 1:
            found[rest[0].option.value] = mass
            continue
        shared = shared_length(rest)
        before += rest[0].tokens[:shared]
        if before and not more_passes:
            return None
        tokens = sorted({way.tokens[shared] for way in rest})
        logits = (yield from writer.look(before, tuple(tokens)))[tokens].astype("float64")
        for token, share in zip(tokens, softmax(logits)):
            after = [way for way in rest if way.tokens[shared] == token]
            branches.append(
                (before, mass * share, [Way(way.tokens[shared:], way.option) for way in after])
            )
    if not all(math.isfinite(share) for share in found.values()):
        raise ModelError("the model computes no finite number: its file is damaged")
    return tuple((way.option.value, found[way.option.value]) for way in named)


def choose(writer: Writer, ways: list[Way]) -> Passes[Option]:
    """Narrow the options down to one, asking the model only where they differ."""
    while any(way.option != ways[0].option for way in ways):
        best = yield from writer.choose(sorted({way.tokens[0] for way in ways}))
        ways = writer.write_shared([way for way in ways if way.tokens[0] == best])
    writer.write_shared(ways[:1])
    return ways[0].option
