"""What a policy says of a text: flagged or not, and which rule said so.

A text has one or more windows, and any one suffices. In a window a category's rule comes first:

    a severity     flags where the answer names the category, from that severity on
    a probability  flags from it on; see ``probability_of``
    ignore         flags nothing

The base decides the rest: a window that names a category without a rule, or none. So a text with
an ignored category and another one is flagged if the other one flags, and what is called Unsafe
without any category is flagged by the base even where every category is ignored.

What is no number, and a probability that is needed and not there, flags.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeguard.policy.policy import OFFICIAL, Policy
from edgeguard.policy.rules import SEVERITY_RULES
from edgeguard.protocol.names import REFUSALS, SEVERITY_RANK, UNSAFE, Refusal, Severity

_YES, _NO = REFUSALS
_NEVER = len(SEVERITY_RANK)


@dataclass(frozen=True)
class Evidence:
    """What a model says of one window, as far as a policy goes by it.

    ``category_probabilities`` are the shares of the categories where one is named; they sum to 1.
    """

    severity: Severity
    probabilities: Mapping[Severity, float]
    categories: tuple[str, ...] = ()
    refusal: Refusal | None = None
    category_probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Decision:
    """``reason`` is the rule that flags, "" where none does; ``observed``: it only would have.

    ``by_probability``: a rule that goes by a number flags, and not the named severity alone.
    """

    flagged: bool
    reason: str
    observed: bool = False
    by_probability: bool = False


def decide(policy: Policy, windows: Sequence[Evidence]) -> Decision:
    """What the policy says of a text's windows, the worst of which comes first."""
    reason, by_probability = _reason(policy, windows)
    would = reason != ""
    return Decision(would and not policy.observe, reason, would and policy.observe, by_probability)


def probability_of(policy: Policy, window: Evidence, category: str) -> float:
    """The probability that the text is harmful, as the base counts it, and of this category.

    It is the score times the category's share. A category that the answer names has the whole
    score: an answer may name several, and shares are only of the one that is named first.
    """
    score = policy.score(window.probabilities)
    if category in window.categories:
        return score
    return score * _share(window, (category,))


_Rules = Iterator[tuple[str, bool]]
"""The rules that flag a window, each with whether it goes by a probability."""


def _reason(policy: Policy, windows: Sequence[Evidence]) -> tuple[str, bool]:
    refuses = _refuses(windows)
    # A refusal that goes on with what was asked for is called Unsafe: that one is never passed.
    if policy.refusal == "pass" and refuses and all(w.severity != UNSAFE for w in windows):
        return "", False
    for window in windows:
        found = [*_of_categories(policy, window), *_of_base(policy, window)]
        if found:
            return found[0][0], any(by_probability for _, by_probability in found)
    return ('refusal = "flag"' if policy.refusal == "flag" and refuses else ""), False


def _refuses(windows: Sequence[Evidence]) -> bool:
    """What complies anywhere is no refusal."""
    said = [window.refusal for window in windows]
    return _YES in said and _NO not in said


def _of_categories(policy: Policy, window: Evidence) -> _Rules:
    for category, rule in policy.categories:
        key = f"categories.{quoted(category)}"
        if isinstance(rule, float):
            probability = probability_of(policy, window, category)
            if not probability < rule:
                yield f"{key} >= {rule:.6g} ({probability:.4g})", True
        elif category in window.categories and SEVERITY_RANK[window.severity] >= SEVERITY_RULES.get(
            rule, _NEVER
        ):
            yield f'{key} = "{rule}" ({window.severity})', False


def _of_base(policy: Policy, window: Evidence) -> _Rules:
    ruled = {category for category, _ in policy.categories}
    if window.categories and ruled.issuperset(window.categories):
        return
    if policy.threshold is None:
        if window.severity in policy.harmful:
            same = (one.name for one in OFFICIAL.values() if one.harmful == policy.harmful)
            yield f'base = "{next(same, "")}" ({window.severity})', False
        return
    score = policy.score(window.probabilities)
    if ruled and not window.categories and not SEVERITY_RANK[window.severity]:
        # Called Safe, it names no category: what may be of a ruled one does not count.
        shares = window.category_probabilities or {}
        score *= _share(window, [name for name in shares if name not in ruled])
    if not score < policy.threshold:
        yield f"threshold >= {policy.threshold:.6g} ({score:.4g})", True


def _share(window: Evidence, categories: Sequence[str]) -> float:
    """The share of some categories; all of it where it is not known."""
    shares = window.category_probabilities
    return 1.0 if shares is None else sum(shares.get(name, 0.0) for name in categories)


def quoted(key: str) -> str:
    """A key as TOML writes it."""
    return key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'
