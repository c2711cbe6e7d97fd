"""The tokens of an answer with their log probabilities, in OpenAI's form.

The severity is chosen at one token. Its log probability is the one in the verdict, a softmax over
the three words of the closed language, and the alternatives are the tokens of the other two. Every
other token has log probability 0: it is decided inside the language, and the verdict holds no
probability of it. So the sum over an answer is the log probability of its severity.

This module computes no probability; it only places the verdict's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeguard.guard import Guard
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.names import SEVERITIES, Severity
from edgeguard.verdict import Verdict

LOWEST = -9999.0
"""What OpenAI writes for a token that is as good as impossible; JSON has no infinity."""


@dataclass(frozen=True)
class Answered:
    """A verdict with the tokens of its answer as bytes.

    ``severity_at`` is the token that decides, and ``words`` what each severity has there.
    """

    verdict: Verdict
    tokens: tuple[bytes, ...]
    severity_at: int
    words: dict[Severity, bytes]


def tokens_of(guard: Guard, verdict: Verdict) -> Answered:
    """The answer's tokens under the guard's own tokenizer."""
    possible = {
        name: guard.tokenize(write(Answer(name, (), verdict.refusal))) for name in SEVERITIES
    }
    at = next(place for place, column in enumerate(zip(*possible.values())) if len(set(column)) > 1)
    words = {name: tokens[at] for name, tokens in possible.items()}
    return Answered(verdict, guard.tokenize(verdict.answer), at, words)


def content(answered: Answered, top: int) -> list[dict[str, object]]:
    """One entry for each token of the answer, each with at most ``top`` alternatives."""
    return [_entry(answered, place, top) for place in range(len(answered.tokens))]


def _entry(answered: Answered, place: int, top: int) -> dict[str, object]:
    token = answered.tokens[place]
    ranked = [(token, 1.0)]
    if place == answered.severity_at:
        shares = answered.verdict.probabilities
        ranked = sorted(
            ((answered.words[name], shares[name]) for name in SEVERITIES),
            key=lambda pair: (-pair[1], pair[0] != token),  # of equals, the one that was chosen
        )
    entry = _token(token, dict(ranked)[token])
    entry["top_logprobs"] = [_token(*pair) for pair in ranked[:top]]
    return entry


def _token(token: bytes, share: float) -> dict[str, object]:
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": math.log(share) if share > 0 else LOWEST,
        "bytes": list(token),
    }
