"""Policies and what models could say of a text, drawn by hypothesis."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hypothesis import strategies as st

from edgeguard.policy import OFFICIAL, STRICT, Evidence, Policy
from edgeguard.policy.rules import REFUSAL_RULES, RULE_WORDS, Rule
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SAFE, SEVERITIES


def _shares(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total for value in values]


_POSITIVE = st.floats(0.001, 1)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    """A window that a model could answer."""
    severity = draw(st.sampled_from(SEVERITIES))
    values = _shares(draw(st.lists(_POSITIVE, min_size=3, max_size=3)))
    named = draw(st.lists(st.sampled_from(CATEGORIES), unique=True, max_size=3))
    nine = _shares(draw(st.lists(_POSITIVE, min_size=9, max_size=9)))
    return Evidence(
        severity,
        dict(zip(SEVERITIES, values)),
        () if severity == SAFE else tuple(named),
        draw(st.sampled_from([None, *REFUSALS])),
        draw(st.sampled_from([None, dict(zip(CATEGORIES, nine))])),
    )


WINDOWS = st.lists(evidence(), min_size=1, max_size=3)
_RULE: st.SearchStrategy[Rule] = st.one_of(
    st.sampled_from(RULE_WORDS), st.floats(0.01, 1).map(lambda value: round(value, 3))
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that flags what it says."""
    rules = draw(st.dictionaries(st.sampled_from(CATEGORIES), _RULE, max_size=9))
    return Policy(
        "drawn",
        draw(st.sampled_from([one.harmful for one in OFFICIAL.values()])),
        draw(st.none() | st.floats(0.01, 1)),
        categories=tuple((name, rules[name]) for name in CATEGORIES if name in rules),
        refusal=draw(st.sampled_from(REFUSAL_RULES)),
    )


_STRICTNESS = ["ignore", "unsafe", "controversial", "flag"]
_OF_REFUSALS = ["pass", "ignore", "flag"]


@st.composite
def stricter(draw: st.DrawFn, policy: Policy) -> Policy:
    """The policy with one thing or more made stricter."""
    rules: dict[str, Rule] = dict(policy.categories)
    for name in draw(st.lists(st.sampled_from(CATEGORIES), max_size=9)):
        rule = rules.get(name)
        if isinstance(rule, float):
            rules[name] = rule * draw(st.floats(0.1, 1))
        elif rule == "ignore":  # whatever else there is, the base included
            rules[name] = draw(_RULE)
            if draw(st.booleans()):
                del rules[name]
        elif rule is not None:
            least = _STRICTNESS.index(rule)
            rules[name] = draw(st.sampled_from(_STRICTNESS[least:]))
    threshold = policy.threshold
    return dataclasses.replace(
        policy,
        harmful=draw(st.sampled_from([policy.harmful, STRICT.harmful])),
        threshold=None if threshold is None else threshold * draw(st.floats(0.1, 1)),
        categories=tuple((name, rules[name]) for name in CATEGORIES if name in rules),
        refusal=draw(st.sampled_from(_OF_REFUSALS[_OF_REFUSALS.index(policy.refusal) :])),
    )
