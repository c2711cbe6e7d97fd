"""What a policy says of a text: by property, and by the cases that a person would ask about."""

from __future__ import annotations

import dataclasses

import pytest
from drawn_policies import WINDOWS, evidence, policies, stricter
from hypothesis import given
from hypothesis import strategies as st

from edgeguard.policy import LOOSE, STRICT, Evidence, Policy, decide
from edgeguard.policy.decision import probability_of
from edgeguard.policy.rules import REFUSAL_RULES
from edgeguard.protocol.names import CATEGORIES, REFUSALS, SAFE, SEVERITIES, UNSAFE

VIOLENT, *_, POLITICS, COPYRIGHT, JAILBREAK = CATEGORIES
SELF_HARM = CATEGORIES[4]


@given(windows=WINDOWS)
def test_strict_and_loose_go_by_the_severity_of_any_window(windows: list[Evidence]) -> None:
    for policy in (STRICT, LOOSE):
        expected = any(window.severity in policy.harmful for window in windows)
        assert decide(policy, windows).flagged is expected


@given(windows=WINDOWS, threshold=st.floats(0.01, 1), base=st.sampled_from([STRICT, LOOSE]))
def test_a_threshold_flags_from_itself_on(
    windows: list[Evidence], threshold: float, base: Policy
) -> None:
    policy = dataclasses.replace(base, threshold=threshold)
    scores = [sum(w.probabilities[severity] for severity in base.harmful) for w in windows]
    assert decide(policy, windows).flagged is any(score >= threshold for score in scores)
    assert decide(dataclasses.replace(base, threshold=max(scores)), windows).flagged


@given(data=st.data(), windows=WINDOWS)
def test_a_stricter_policy_never_flags_less(data: st.DataObject, windows: list[Evidence]) -> None:
    policy = data.draw(policies())
    harder = data.draw(stricter(policy))
    if decide(policy, windows).flagged:
        assert decide(harder, windows).flagged


@given(policy=policies(), windows=WINDOWS, other=evidence())
def test_another_window_never_unflags(
    policy: Policy, windows: list[Evidence], other: Evidence
) -> None:
    policy = dataclasses.replace(policy, refusal="ignore")
    if decide(policy, windows).flagged:
        assert decide(policy, [*windows, other]).flagged


@given(policy=policies(), windows=WINDOWS)
def test_a_reason_is_there_exactly_where_it_flags(policy: Policy, windows: list[Evidence]) -> None:
    said = decide(policy, windows)
    assert said.flagged is (said.reason != "")
    assert not said.observed
    observed = decide(dataclasses.replace(policy, observe=True), windows)
    assert (observed.flagged, observed.observed) == (False, said.flagged)
    assert observed.reason == said.reason


@given(ignored=st.sets(st.sampled_from(CATEGORIES)), named=st.sampled_from(CATEGORIES))
def test_ignoring_flags_nothing_only_of_what_is_ignored(ignored: set[str], named: str) -> None:
    rules = tuple((name, "ignore") for name in CATEGORIES if name in ignored)
    policy = dataclasses.replace(STRICT, categories=rules)
    window = Evidence(UNSAFE, dict(zip(SEVERITIES, (0.1, 0.8, 0.1))), (named,))
    assert decide(policy, [window]).flagged is (named not in ignored)


def _window(severity: str, *categories: str, harmful: float = 0.9, **more: object) -> Evidence:
    probabilities = dict(zip(SEVERITIES, (1 - harmful, harmful, 0.0)))
    return Evidence(severity, probabilities, categories, **more)  # type: ignore[arg-type]


def _policy(**rules: object) -> Policy:
    return dataclasses.replace(STRICT, categories=tuple(rules.items()))  # type: ignore[arg-type]


def test_an_ignored_category_does_not_hide_another_one() -> None:
    policy = _policy(**{POLITICS: "ignore"})
    assert not decide(policy, [_window(UNSAFE, POLITICS)]).flagged
    assert decide(policy, [_window(UNSAFE, POLITICS, COPYRIGHT)]).flagged


def test_what_is_unsafe_without_a_category_goes_by_the_base() -> None:
    policy = _policy(**dict.fromkeys(CATEGORIES, "ignore"))
    said = decide(policy, [_window(UNSAFE)])
    assert said.flagged
    assert said.reason == 'base = "strict" (Unsafe)'


def test_a_probability_counts_where_the_text_is_called_safe() -> None:
    policy = _policy(**{SELF_HARM: 0.2})
    shares = {**dict.fromkeys(CATEGORIES, 0.0), SELF_HARM: 0.75, VIOLENT: 0.25}
    window = _window(SAFE, harmful=0.4, category_probabilities=shares)
    said = decide(policy, [window])
    assert said.reason == 'categories."Suicide & Self-Harm" >= 0.2 (0.3)'
    assert probability_of(policy, window, VIOLENT) == pytest.approx(0.1)
    below = _window(SAFE, harmful=0.2, category_probabilities=shares)
    assert not decide(policy, [below]).flagged


def test_a_named_category_has_the_whole_score() -> None:
    shares = {**dict.fromkeys(CATEGORIES, 0.0), VIOLENT: 1.0}
    window = _window(UNSAFE, VIOLENT, SELF_HARM, category_probabilities=shares)
    assert probability_of(STRICT, window, SELF_HARM) == pytest.approx(0.9)


def test_a_threshold_counts_what_is_not_ruled_otherwise() -> None:
    shares = {**dict.fromkeys(CATEGORIES, 0.0), POLITICS: 0.5, VIOLENT: 0.5}
    window = _window(SAFE, harmful=0.4, category_probabilities=shares)
    policy = dataclasses.replace(_policy(**{POLITICS: "ignore"}), threshold=0.3)
    assert not decide(policy, [window]).flagged
    assert decide(dataclasses.replace(policy, threshold=0.2), [window]).flagged
    unknown = dataclasses.replace(window, category_probabilities=None)
    assert decide(policy, [unknown]).flagged  # closed, where nothing is known of categories


def test_what_is_no_number_is_flagged() -> None:
    nan = dict.fromkeys(SEVERITIES, float("nan"))
    assert decide(dataclasses.replace(STRICT, threshold=0.5), [Evidence(SAFE, nan)]).flagged
    assert decide(_policy(**{VIOLENT: 0.5}), [Evidence(SAFE, nan)]).flagged


def test_what_refusals_mean() -> None:
    yes, no = REFUSALS
    refusal = _window("Controversial", VIOLENT, refusal=yes)
    unsafe = _window(UNSAFE, VIOLENT, refusal=yes)
    complies = _window("Controversial", VIOLENT, refusal=no)
    safe = _window(SAFE, refusal=yes)

    def flags(rule: str, *windows: Evidence) -> bool:
        return decide(dataclasses.replace(STRICT, refusal=rule), windows).flagged  # type: ignore[arg-type]

    assert [flags(rule, safe) for rule in REFUSAL_RULES] == [False, True, False]
    assert [flags(rule, refusal) for rule in REFUSAL_RULES] == [True, True, False]
    assert [flags(rule, unsafe) for rule in REFUSAL_RULES] == [True, True, True]
    assert [flags(rule, refusal, complies) for rule in REFUSAL_RULES] == [True, True, True]
    assert [flags(rule, safe, _window(SAFE, refusal=no)) for rule in REFUSAL_RULES] == [
        *(False, False, False)
    ]


def test_a_category_flags_from_its_severity_on() -> None:
    for rule, flags in (("unsafe", [False, True]), ("controversial", [True, True])):
        windows = [_window("Controversial", VIOLENT), _window(UNSAFE, VIOLENT)]
        policy = _policy(**{VIOLENT: rule})
        assert [decide(policy, [window]).flagged for window in windows] == flags


def test_a_threshold_counts_all_of_what_is_called_unsafe_and_names_nothing() -> None:
    shares = {**dict.fromkeys(CATEGORIES, 0.0), POLITICS: 1.0}
    policy = dataclasses.replace(_policy(**{POLITICS: "ignore"}), threshold=0.3)
    assert decide(policy, [_window(UNSAFE, category_probabilities=shares)]).flagged
    assert not decide(policy, [_window(SAFE, category_probabilities=shares)]).flagged
