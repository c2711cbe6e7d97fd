"""The tokens of an answer with their log probabilities, in OpenAI's form.

The model chooses inside a closed language. If several tokens may come next, the log probability is
that of the softmax over these, and they are the alternatives. If only one may, it is 0. So the sum
over an answer is its log probability among all answers of the language. An answer that was put
together from several windows has a probability for its severity alone; its other tokens have 0.

This module computes no probability; it only places the verdict's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeguard.guard import Guard
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import SEVERITIES
from edgeguard.verdict import Choice, Verdict

LOWEST = -9999.0
"""What OpenAI writes for a token that is as good as impossible; JSON has no infinity."""


@dataclass(frozen=True)
class Answered:
    """A verdict with the tokens of its answer as bytes, and where the model had a choice."""

    verdict: Verdict
    tokens: tuple[bytes, ...]
    choices: tuple[Choice, ...]


def tokens_of(guard: Guard, verdict: Verdict) -> Answered:
    """The answer's tokens under the guard's own tokenizer."""
    choices = verdict.choices or (_severity(guard, verdict),)
    return Answered(verdict, guard.tokenize(verdict.answer), choices)


def content(answered: Answered, top: int) -> list[dict[str, object]]:
    """One entry for each token of the answer, each with at most ``top`` alternatives."""
    choices = {choice.place: choice.tokens for choice in answered.choices}
    return [
        _entry(token, choices.get(place, ((token, 1.0),)), top)
        for place, token in enumerate(answered.tokens)
    ]


def _severity(guard: Guard, verdict: Verdict) -> Choice:
    """The choice of the severity, from the verdict's probabilities."""
    answers = (write(Answer(name, (), verdict.refusal)) for name in SEVERITIES)
    tokens = [guard.tokenize(answer) for answer in answers]
    place = next(at for at, column in enumerate(zip(*tokens)) if len(set(column)) > 1)
    words = (each[place] for each in tokens)
    return Choice(place, tuple(zip(words, verdict.probabilities.values())))


def _entry(token: bytes, choice: tuple[tuple[bytes, float], ...], top: int) -> dict[str, object]:
    # Of equals, the one that was chosen stands first.
    ranked = sorted(choice, key=lambda pair: (-pair[1], pair[0] != token))
    entry = _token(token, dict(choice)[token])
    entry["top_logprobs"] = [_token(*pair) for pair in ranked[:top]]
    return entry


def _token(token: bytes, share: float) -> dict[str, object]:
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": math.log(share) if share > 0 else LOWEST,
        "bytes": list(token),
    }
