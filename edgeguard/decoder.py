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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeguard.answer_writer import (
    Passes,
    Shares,
    T,
    Way,
    Writer,
    category_shares,
    choose,
    next_tokens,
    shared_length,
    softmax,
)
from edgeguard.errors import ModelError
from edgeguard.protocol.answer import END, START, Answer, Option, State, answer_of, options
from edgeguard.protocol.names import MODES, SAFE, SEVERITIES, Mode
from edgeguard.session.interface import Read, Session
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
        writer = Writer(self._session, question, fresh, self.room, self._ahead[question.mode])
        state, path, probabilities = START, list[tuple[State, Option]](), tuple[float, ...]()
        shares: Shares | None = None
        while state != END:
            ways = writer.write_shared(self._ways(question.mode, state))
            if state == START:
                logits = yield from writer.logits(next_tokens(ways))
                probabilities = self._severities(logits, ways)
            if state.stage == "category":
                yield from writer.logits(next_tokens(ways))  # those of NO_CATEGORY too
                shares = yield from category_shares(writer, ways, more_passes=categories)
            option = yield from choose(writer, ways)
            path.append((state, option))
            state = option.after
        if categories and shares is None:
            shares = yield from self._shares_if_harmful(writer, question.mode, probabilities)
        return Decoded(answer_of(tuple(path)), probabilities, tuple(writer.choices), shares)

    def _shares_if_harmful(
        self, writer: Writer, mode: Mode, probabilities: tuple[float, ...]
    ) -> Passes[Shares | None]:
        """The probabilities of the categories in an answer that begins with a harmful severity."""
        ways = self._ways(mode, START)
        likelier = max(
            (severity for severity in SEVERITIES if severity != SAFE),
            key=lambda severity: probabilities[SEVERITIES.index(severity)],
        )
        harmful = next(way for way in ways if way.option.value == likelier)
        then = self._ways(mode, harmful.option.after)
        shared = then[0].tokens[: shared_length(then)]
        writer.go_back(harmful.tokens[shared_length(ways) :] + shared)
        rest = [Way(way.tokens[len(shared) :], way.option) for way in then]
        return (yield from category_shares(writer, rest, more_passes=True))

    def _ways(self, mode: Mode, state: State) -> list[Way]:
        ways = []
        for option in options(mode, state):
            if option.text:
                ways.append(Way(self._tokenize(option.text), option))
            else:
                ways.extend(Way((token,), option) for token in self._session.end_tokens)
        return ways

    def _tokenize(self, text: str) -> tuple[int, ...]:
        if text not in self._tokens:
            self._tokens[text] = tuple(self._session.tokenize(text))
        return self._tokens[text]

    def _severities(self, logits: NDArray[np.float32], ways: list[Way]) -> tuple[float, ...]:
        import numpy as np

        finite = logits[np.isfinite(logits)].astype(np.float64)
        chosen = logits[[way.tokens[0] for way in ways]].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise ModelError("the model computes no finite number: its file is damaged")
        top = np.max(finite)
        weights = np.exp(chosen - top)
        everything = float(np.exp(finite - top).sum())
        self._check_mass(float(weights.sum()) / everything)
        return softmax(chosen)

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
        return safe.tokens[shared_length(ways) :] + then[0].tokens[: shared_length(then)]

    def _check_severities(self, mode: Mode) -> None:
        """Check that one pass decides the severity: the three words must differ at one token."""
        ways = self._ways(mode, START)
        place = shared_length(ways)
        if len({way.tokens[place : place + 1] for way in ways}) != len(SEVERITIES):
            raise ModelError("the tokenizer does not part the three severities at one token")


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
