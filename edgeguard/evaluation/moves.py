"""How verdicts change from one model to another: severities and probabilities.

This module only passes labels on, and knows no policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeguard.evaluation.judging import Judged
from edgeguard.protocol.names import SEVERITIES, Severity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUANTILES = 201
_SMALLEST = 1e-12
"""A probability of zero would make the divergence infinite."""


@dataclass(frozen=True)
class Flip:
    """A row with another severity than with the first file, by its set and id."""

    set: str
    id: str
    label: Severity | None
    first: Severity
    other: Severity


@dataclass(frozen=True)
class TokenChange:
    """How the labels of a Qwen3Guard-Stream's tokens change: ``same`` is the share with the same
    severity; ``mean`` and ``worst`` are total variation distances, as for texts.
    """

    count: int
    same: float
    mean: float
    worst: float


def tokens_moved(pairs: Sequence[tuple[Judged, Judged]]) -> TokenChange | None:
    """The same for tokens; None if the models label none, or not the same ones."""
    import numpy as np

    first = [token for a, _ in pairs for token in a.tokens]
    other = [token for _, b in pairs for token in b.tokens]
    if not first or any(len(a.tokens) != len(b.tokens) for a, b in pairs):
        return None
    p, q = np.array(first), np.array(other)
    distance = np.abs(p - q).sum(axis=1) / 2
    same = p.argmax(axis=1) == q.argmax(axis=1)
    return TokenChange(len(p), float(same.mean()), float(distance.mean()), float(distance.max()))


def moved(pairs: Sequence[tuple[Judged, Judged]]) -> dict[str, Any]:
    """Which severities change, and by how much the probabilities do: fields of a Change."""
    import numpy as np

    counts = Counter((a.verdict.severity, b.verdict.severity) for a, b in pairs)
    p, q = _probabilities([a for a, _ in pairs]), _probabilities([b for _, b in pairs])
    distance = np.abs(p - q).sum(axis=1) / 2
    divergence = (p * np.log(p / q)).sum(axis=1)
    return {
        "matrix": tuple(tuple(counts[a, b] for b in SEVERITIES) for a in SEVERITIES),
        "change_mean": float(distance.mean()),
        "change_worst": float(np.max(distance)),
        "kl_mean": float(divergence.mean()),
        "kl_worst": float(np.max(divergence)),
        "change_quantiles": tuple(
            float(one) for one in np.quantile(distance, np.linspace(0, 1, _QUANTILES))
        ),
        "flips": tuple(
            Flip(a.row.set, a.row.id, a.row.label, a.verdict.severity, b.verdict.severity)
            for a, b in pairs
            if a.verdict.severity != b.verdict.severity
        ),
        "tokens": tokens_moved(pairs),
    }


def _probabilities(judged: Sequence[Judged]) -> NDArray[np.float64]:
    """(rows, 3), each row summing to 1, none zero."""
    import numpy as np

    raw = [[one.verdict.probabilities[s] for s in SEVERITIES] for one in judged]
    shares = np.maximum(np.array(raw, dtype=np.float64), _SMALLEST)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
