"""From a question's logits to an answer: greedy decoding constrained to the closed answer language.

The decoder walks the language token by token. A token that is the only possible one is not
sampled: it is held back and computed together with the tokens after it, in the forward pass ("pass"
below) whose logits the next decision needs. So a Safe prompt costs one pass over the question, and
a category's name costs passes only where the model has a choice. The words of the answer are
tokenized as the model would write them. At each decision the allowed token with the highest logit
wins, which is what llama.cpp's grammar sampler does at temperature 0.

Deciding on a category also gives the probabilities of all categories, provided that their names
differ in their first token, as they do in Qwen's vocabulary. With other vocabularies, and for an
answer that names no category, these probabilities need passes of their own and are computed only on
request. Asking for them never changes the answer.

A decoder does not call the session itself: it yields what it wants computed, and is sent the
logits. So one answer can be decoded alone, or many in parallel with shared passes
(edgeguard.together).

This module does not touch llama.cpp and does not know what a window or a policy is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from edgeguard.errors import ModelError
from edgeguard.protocol.answer import END, START, Answer, Option, State, answer_of, options
from edgeguard.protocol.names import MODES, NO_CATEGORY, SAFE, SEVERITIES, Mode
from edgeguard.session.interface import Extend, Read, Session
from edgeguard.tokens import Question
from edgeguard.verdict import Choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeguard.policy import Evidence

_logger = logging.getLogger(__name__)

LOW_MASS = 0.1
"""The least probability that a model must put on the three severities together.

A Qwen3Guard-Gen puts nearly all of it there. A file with damaged weights, or another model's, does
not, but would still have a most likely severity.
"""


@dataclass(frozen=True)
class Decoded:
    """An answer, the softmax over the three severities in the order of SEVERITIES, and the choices.

    ``category_probabilities`` are pairs of a category and its probability, in the protocol's order.
    ``remembered``: the answer came from edgeguard.verdict_cache. ``tokens``: the labels of a
    response's tokens, if a Qwen3Guard-Stream has just read it.
    """

    answer: Answer
    probabilities: tuple[float, ...]
    choices: tuple[Choice, ...] = ()
    category_probabilities: tuple[tuple[str, float], ...] | None = None
    remembered: bool = False
    tokens: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class _Way:
    """An option, and its tokens that are still to be written."""

    tokens: tuple[int, ...]
    option: Option


_Shares = tuple[tuple[str, float], ...]
T = TypeVar("T")
Passes: TypeAlias = "Generator[Read | Extend, NDArray[np.float32], T]"
"""A generator that yields requests for a session, is sent the logits, and returns a result."""


class Decoder:
    """Decodes answers with one session."""

    def __init__(self, session: Session, *, allow_random_weights: bool = False) -> None:
        """``allow_random_weights``: warn once about a model below LOW_MASS instead of failing."""
        self._session = session
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._allow_random_weights = allow_random_weights
        self._warned = False
        self.room = max(self._longest(mode) for mode in MODES)
        for mode in MODES:
            self._check_severities(mode)
        self._ahead = {mode: self._likely(mode) for mode in MODES}

    def decode(
        self, question: Question, *, fresh: bool = False, categories: bool = False
    ) -> Decoded:
        """The model's answer; ``fresh``: the same bits, whatever was asked before.

        ``categories``: also compute the categories' probabilities, even if that takes one more
        pass: for an answer that names none, they are those after the likelier of the two harmful
        severities. Raises ModelError if the model computes no usable number, or puts less than
        LOW_MASS of its probability on the words of an answer.
        """
        return _alone(self._session, self.passes(question, fresh=fresh, categories=categories))

    def passes(
        self, question: Question, *, fresh: bool = False, categories: bool = False
    ) -> Passes[Decoded]:
        """The same as ``decode``, as passes for somebody else to compute; see Passes."""
        writer = _Writer(self._session, question, fresh, self.room, self._ahead[question.mode])
        state, path, probabilities = START, list[tuple[State, Option]](), tuple[float, ...]()
        shares: _Shares | None = None
        while state != END:
            ways = writer.write_shared(self._ways(question.mode, state))
            if state == START:
                logits = yield from writer.logits(_next(ways))
                probabilities = self._severities(logits, ways)
            if state.stage == "category":
                yield from writer.logits(_next(ways))  # those of NO_CATEGORY too
                shares = yield from _shares(writer, ways, more_passes=categories)
            option = yield from _choose(writer, ways)
            path.append((state, option))
            state = option.after
        if categories and shares is None:
            shares = yield from self._shares_if_harmful(writer, question.mode, probabilities)
        return Decoded(answer_of(tuple(path)), probabilities, tuple(writer.choices), shares)

    def _shares_if_harmful(
        self, writer: _Writer, mode: Mode, probabilities: tuple[float, ...]
    ) -> Passes[_Shares | None]:
        """The probabilities of the categories in an answer that begins with a harmful severity."""
        ways = self._ways(mode, START)
        likelier = max(
            (severity for severity in SEVERITIES if severity != SAFE),
            key=lambda severity: probabilities[SEVERITIES.index(severity)],
        )
        harmful = next(way for way in ways if way.option.value == likelier)
        then = self._ways(mode, harmful.option.after)
        shared = then[0].tokens[: _shared(then)]
        writer.go_back(harmful.tokens[_shared(ways) :] + shared)
        rest = [_Way(way.tokens[len(shared) :], way.option) for way in then]
        return (yield from _shares(writer, rest, more_passes=True))

    def _ways(self, mode: Mode, state: State) -> list[_Way]:
        ways = []
        for option in options(mode, state):
            if option.text:
                ways.append(_Way(self._tokenize(option.text), option))
            else:
                ways.extend(_Way((token,), option) for token in self._session.end_tokens)
        return ways

    def _tokenize(self, text: str) -> tuple[int, ...]:
        if text not in self._tokens:
            self._tokens[text] = tuple(self._session.tokenize(text))
        return self._tokens[text]

    def _severities(self, logits: NDArray[np.float32], ways: list[_Way]) -> tuple[float, ...]:
        import numpy as np

        finite = logits[np.isfinite(logits)].astype(np.float64)
        chosen = logits[[way.tokens[0] for way in ways]].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise ModelError("the model computes no finite number: its file is damaged")
        top = np.max(finite)
        weights = np.exp(chosen - top)
        everything = float(np.exp(finite - top).sum())
        self._check_mass(float(weights.sum()) / everything)
        return _softmax(chosen)

    def _check_mass(self, mass: float) -> None:
        if mass >= LOW_MASS:
            return
        what = (
            f"the model puts {mass:.2g} of its probability on the words it may answer with, and a "
            "Qwen3Guard-Gen nearly all of it"
        )
        if not self._allow_random_weights:
            raise ModelError(
                f"{what}: its file is damaged, or it is another model's; fetch it again with "
                "`edgeguard pull`, or type --allow-random-weights if its verdicts may mean nothing"
            )
        if not self._warned:
            self._warned = True
            _logger.warning("%s: its verdicts mean nothing", what)

    def _longest(self, mode: Mode) -> int:
        """An upper bound for the length of an answer in tokens: every decision is made once."""
        longest: dict[str, int] = {}
        for stage in (START, State("category"), State("more"), State("refusal")):
            for way in self._ways(mode, stage):
                value = way.option.value
                longest[value] = max(longest.get(value, 0), len(way.tokens))
        return sum(longest.values())

    def _likely(self, mode: Mode) -> tuple[int, ...]:
        """The most likely tokens after the severity, up to the next decision: those of a Safe text.

        Computed in the pass that decides the severity, these tokens cost a third of a separate
        pass. Empty if nothing is left to decide.
        """
        ways = self._ways(mode, START)
        safe = next(way for way in ways if way.option.value == SAFE)
        then = self._ways(mode, safe.option.after)
        if len({way.option for way in then}) < 2:
            return ()
        return safe.tokens[_shared(ways) :] + then[0].tokens[: _shared(then)]

    def _check_severities(self, mode: Mode) -> None:
        """Check that one pass decides the severity: the three words must differ at one token."""
        ways = self._ways(mode, START)
        place = _shared(ways)
        if len({way.tokens[place : place + 1] for way in ways}) != len(SEVERITIES):
            raise ModelError("the tokenizer does not part the three severities at one token")


class _Writer:
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

    def write_shared(self, ways: list[_Way]) -> list[_Way]:
        """Write the tokens that all options begin with; returns the options without them."""
        shared = _shared(ways)
        self._waiting.extend(ways[0].tokens[:shared])
        self._written += shared
        return [_Way(way.tokens[shared:], way.option) for way in ways]

    def choose(self, tokens: list[int]) -> Passes[int]:
        """The most likely of the tokens that may come next."""
        import numpy as np

        logits = (yield from self.logits(tuple(tokens)))[tokens]
        shares = _softmax(logits.astype("float64"))
        named = zip((self._session.token_bytes(token) for token in tokens), shares)
        self.choices.append(Choice(self._written, tuple(named)))
        # argmax takes the lowest id of several maxima, as llama.cpp's greedy sampler does.
        return tokens[int(np.argmax(logits))]

    def logits(self, wanted: tuple[int, ...]) -> Passes[NDArray[np.float32]]:
        """The logits after everything written so far; tokens held back are computed in one pass.

        ``wanted``: the tokens whose logits are needed, where nothing was computed here yet.
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


def _alone(session: Session, passes: Passes[T]) -> T:
    """Compute the passes one by one in the session's own sequence; returns their result."""
    try:
        asked = next(passes)
        while True:
            if isinstance(asked, Read):
                logits = session.read(
                    asked.tokens,
                    room=asked.room,
                    prefix=asked.prefix,
                    suffix=asked.suffix,
                    exact=asked.exact,
                    ahead=asked.ahead,
                    wanted=asked.wanted,
                )
            else:
                logits = session.extend(asked.tokens, back=asked.back, wanted=asked.wanted)
            asked = passes.send(logits)
    except StopIteration as end:
        found: T = end.value
        return found


def _softmax(logits: NDArray[np.float64]) -> tuple[float, ...]:
    import numpy as np

    shares = np.exp(logits - np.max(logits))
    return tuple(float(share) for share in shares / shares.sum())


def _next(ways: list[_Way]) -> tuple[int, ...]:
    """The tokens that may come next, where all ways part."""
    return tuple(sorted({way.tokens[0] for way in ways}))


def _shared(ways: list[_Way]) -> int:
    """How many tokens all options begin with."""
    shared = 0
    while all(len(way.tokens) > shared for way in ways) and (
        len({way.tokens[shared] for way in ways}) == 1
    ):
        shared += 1
    return shared


def _shares(writer: _Writer, ways: list[_Way], *, more_passes: bool) -> Passes[_Shares | None]:
    """The softmax over the categories, in the order of the options, as if one had to be named.

    A name's probability is the product of the softmaxes where it differs from other names. None if
    that would take ``more_passes`` than the one that decides.
    """
    named = [way for way in ways if way.option.value != NO_CATEGORY]
    found: dict[str, float] = {}
    branches: list[tuple[tuple[int, ...], float, list[_Way]]] = [((), 1.0, named)]
    while branches:
        before, mass, rest = branches.pop()
        if len(rest) == 1:
            found[rest[0].option.value] = mass
            continue
        shared = _shared(rest)
        before += rest[0].tokens[:shared]
        if before and not more_passes:
            return None
        tokens = sorted({way.tokens[shared] for way in rest})
        logits = (yield from writer.look(before, tuple(tokens)))[tokens].astype("float64")
        for token, share in zip(tokens, _softmax(logits)):
            after = [way for way in rest if way.tokens[shared] == token]
            branches.append(
                (before, mass * share, [_Way(way.tokens[shared:], way.option) for way in after])
            )
    if not all(math.isfinite(share) for share in found.values()):
        raise ModelError("the model computes no finite number: its file is damaged")
    return tuple((way.option.value, found[way.option.value]) for way in named)


def _choose(writer: _Writer, ways: list[_Way]) -> Passes[Option]:
    """Narrow the options down to one, asking the model only where they differ."""
    while any(way.option != ways[0].option for way in ways):
        best = yield from writer.choose(sorted({way.tokens[0] for way in ways}))
        ways = writer.write_shared([way for way in ways if way.tokens[0] == best])
    writer.write_shared(ways[:1])
    return ways[0].option
