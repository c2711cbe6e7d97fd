"""What a policy says of a text: flagged or not, and by which rule.

A text has one or more windows, and one flagged window is enough. In a window, the rule of a
category comes first:

    a severity     flags if the answer names the category and is at least this severe
    a probability  flags if the category is at least this probable; see ``probability_of``
    ignore         never flags

The base decides about windows that name no category, or one without a rule. So a text with an
ignored category and another one is flagged if the other one flags, and a text that is called Unsafe
without any category is flagged by the base even if every category is ignored.

A probability that is not a number, or is needed and missing, flags.

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
    """The model's answer for one window, as far as a policy uses it.

    ``category_probabilities`` assume that a category is named; they sum to 1.
    """

    severity: Severity
    probabilities: Mapping[Severity, float]
    categories: tuple[str, ...] = ()
    refusal: Refusal | None = None
    category_probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Decision:
    """``reason`` is the rule that flags, "" if none does; ``observed``: it would have flagged.

    ``by_probability``: a rule about a probability flags, not only the named severity.
    """

    flagged: bool
    reason: str
    observed: bool = False
    by_probability: bool = False


def decide(policy: Policy, windows: Sequence[Evidence]) -> Decision:
    """The decision about a text's windows, the worst of which comes first."""
    reason, by_probability = _reason(policy, windows)
    would = reason != ""
    return Decision(would and not policy.observe, reason, would and policy.observe, by_probability)


def probability_of(policy: Policy, window: Evidence, category: str) -> float:
    """The probability that the text is harmful, as the base counts it, and of this category.

    It is the score times the category's probability. A category that the answer names gets the
    whole score: an answer may name several, and the probabilities are only of the one named first.
    """
    score = policy.score(window.probabilities)
    if category in window.categories:
        return score
    return score * _share(window, (category,))


def distance(policy: Policy, window: Evidence) -> float:
    """How far the nearest probability is from a limit of the policy; 1 if it has no limits."""
    found = [
        abs(probability_of(policy, window, category) - rule)
        for category, rule in policy.categories
        if isinstance(rule, float)
    ]
    if policy.threshold is not None:
        found.append(abs(_score_of_base(policy, window) - policy.threshold))
    return min(found, default=1.0)


_Rules = Iterator[tuple[str, bool]]
"""The rules that flag a window, and for each, whether it is about a probability."""


def _reason(policy: Policy, windows: Sequence[Evidence]) -> tuple[str, bool]:
    refuses = _refuses(windows)
    # A refusal that still gives what was asked for is called Unsafe, and is never passed.
    if policy.refusal == "pass" and refuses and all(w.severity != UNSAFE for w in windows):
        return "", False
    for window in windows:
        found = [*_of_categories(policy, window), *_of_base(policy, window)]
        if found:
            return found[0][0], any(by_probability for _, by_probability in found)
    return ('refusal = "flag"' if policy.refusal == "flag" and refuses else ""), False


def _refuses(windows: Sequence[Evidence]) -> bool:
    """Whether the text refuses: a text that complies in any window does not."""
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
    score = _score_of_base(policy, window)
    if not score < policy.threshold:
        yield f"threshold >= {policy.threshold:.6g} ({score:.4g})", True


def _score_of_base(policy: Policy, window: Evidence) -> float:
    """The score that the threshold is about."""
    ruled = {category for category, _ in policy.categories}
    score = policy.score(window.probabilities)
    if ruled and not window.categories and not SEVERITY_RANK[window.severity]:
        # A text called Safe names no category. The probability of categories with a rule is left
        # out.
        shares = window.category_probabilities or {}
        score *= _share(window, [name for name in shares if name not in ruled])
    return score


def _share(window: Evidence, categories: Sequence[str]) -> float:
    """The probability of some categories together; 1 if it is not known."""
    shares = window.category_probabilities
    return 1.0 if shares is None else sum(shares.get(name, 0.0) for name in categories)


def quoted(key: str) -> str:
    """A key as TOML writes it."""
    return key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'
