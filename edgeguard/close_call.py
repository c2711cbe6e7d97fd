"""Whether an answer might be another one if its probabilities were a little different.

In company, late digits move (see edgeguard.session.sequences). An answer that they could change is
asked again alone, so that company never decides. This module asks nothing.
"""

from __future__ import annotations

from collections import defaultdict

from edgeguard.check import evidence_of
from edgeguard.decoder import Decoded
from edgeguard.policy import Policy, distance
from edgeguard.verdict import Choice

CLOSE = 0.1
"""Between the two likeliest tokens, or a probability and a policy's limit: less than this is close.

benchmarks/company.py measures how far company moves logits, at Q4_K_M by 0.056 at most. Where two
tokens move so far, apart, the lead between them changes by 0.056 of probability.
"""


def is_close(decoded: Decoded, policy: Policy) -> bool:
    """Whether any decision on the way to the answer, or the policy's about it, is a close one."""
    least = min(map(lead, decoded.choices), default=1.0)
    return least < CLOSE or distance(policy, evidence_of(decoded)) < CLOSE


def lead(choice: Choice) -> float:
    """By how much the likeliest token leads; those that end an answer are one."""
    shares: dict[bytes, float] = defaultdict(float)
    for token, share in choice.tokens:
        shares[token] += share
    first, second = sorted([0.0, *shares.values()], reverse=True)[:2]
    return first - second
