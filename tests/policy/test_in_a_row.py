"""A text by its tokens: held against the definition, and against what a policy may not do."""

from __future__ import annotations

from dataclasses import replace

from drawn_policies import evidence, policies, stricter
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeguard.policy import LOOSE, STRICT, Evidence, Policy, decide
from edgeguard.policy.in_a_row import decide_in_a_row, first_run, flag_of, suspected
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, UNSAFE
from edgeguard.stream.interface import TokenLabel
from edgeguard.stream.rule import Summary

_TOKEN = evidence().map(
    lambda one: replace(one, categories=one.categories[:1], refusal=None)  # as a Stream labels one
)
TOKENS = st.lists(_TOKEN, max_size=8)
IN_A_ROW = st.integers(1, 4)


def flags(policy: Policy, tokens: list[Evidence], in_a_row: int) -> bool:
    return decide_in_a_row(policy, tokens, in_a_row).flagged


@settings(max_examples=60)
@given(policies(), TOKENS, IN_A_ROW)
def test_it_is_so_many_tokens_in_a_row_each_flagged_by_itself(
    policy: Policy, tokens: list[Evidence], in_a_row: int
) -> None:
    said = [decide(policy, [token]) for token in tokens]

    def counts(at: int) -> bool:
        row = range(at, at + in_a_row)
        named = {tokens[place].severity for place in row if not said[place].by_probability}
        return all(said[place].flagged for place in row) and len(named) <= 1

    expected = [at for at in range(len(tokens) - in_a_row + 1) if counts(at)]
    decision = decide_in_a_row(policy, tokens, in_a_row)
    assert decision.flagged == bool(expected)
    if expected:
        assert decision.reason == said[expected[0] + in_a_row - 1].reason != ""


@settings(max_examples=60)
@given(st.data(), TOKENS, IN_A_ROW)
def test_a_stricter_policy_flags_no_fewer_texts(
    data: st.DataObject, tokens: list[Evidence], in_a_row: int
) -> None:
    policy = data.draw(policies())
    if flags(policy, tokens, in_a_row):
        assert flags(data.draw(stricter(policy)), tokens, in_a_row)


@settings(max_examples=60)
@given(policies(), TOKENS, TOKENS, TOKENS, IN_A_ROW)
def test_what_is_flagged_is_flagged_whatever_stands_before_and_behind(
    policy: Policy, before: list[Evidence], text: list[Evidence], behind: list[Evidence], n: int
) -> None:
    """A run of an ignored category before it, a milder one behind it."""
    if flags(policy, text, n):
        assert flags(policy, [*before, *text, *behind], n)


@settings(max_examples=60)
@given(policies(), TOKENS, IN_A_ROW)
def test_who_observes_flags_nothing_and_says_what_it_would(
    policy: Policy, tokens: list[Evidence], in_a_row: int
) -> None:
    said = decide_in_a_row(policy, tokens, in_a_row)
    seen = decide_in_a_row(replace(policy, observe=True), tokens, in_a_row)
    assert (seen.flagged, seen.observed, seen.reason) == (False, said.flagged, said.reason)


@settings(max_examples=60)
@given(TOKENS, IN_A_ROW)
def test_the_official_policies_say_what_the_authors_rule_says(
    tokens: list[Evidence], in_a_row: int
) -> None:
    labels = [
        TokenLabel(0, 0, token.severity, tuple(token.probabilities.values()), (1.0,))
        for token in tokens
    ]
    said = Summary(labels, in_a_row).severity
    assert flags(LOOSE, tokens, in_a_row) == (said == UNSAFE)
    assert flags(STRICT, tokens, in_a_row) == (said != SAFE)


@settings(max_examples=60)
@given(policies(), TOKENS, TOKENS, IN_A_ROW)
def test_what_is_suspected_is_what_more_tokens_can_flag(
    policy: Policy, text: list[Evidence], more: list[Evidence], in_a_row: int
) -> None:
    """No run that shows later begins before the suspected tokens, and none is held for nothing."""
    held = [flag_of(policy, token) for token in text]
    if first_run(held, in_a_row) is not None:
        return
    first = first_run([*held, *(flag_of(policy, token) for token in more)], in_a_row)
    doubtful = suspected(held, in_a_row)
    assert doubtful < in_a_row
    if first is not None:
        assert first >= len(text) - doubtful
    if doubtful:
        again = text[-doubtful]
        worst = [again] * (in_a_row - doubtful)
        if doubtful == 1:
            assert first_run([*held, *(flag_of(policy, t) for t in worst)], in_a_row) is not None


def test_a_threshold_counts_mixed_pairs_and_severities_do_not() -> None:
    def token(severity: str, harm: float) -> Evidence:
        shares = {SAFE: 1 - harm, UNSAFE: harm / 2, CONTROVERSIAL: harm / 2}
        return Evidence(severity, shares)  # type: ignore[arg-type]

    mixed = [token(UNSAFE, 0.9), token(CONTROVERSIAL, 0.8)]
    assert not flags(STRICT, mixed, 2)
    assert flags(replace(STRICT, threshold=0.8), mixed, 2)
    assert not flags(replace(STRICT, threshold=0.85), mixed, 2)
    spread = [token(UNSAFE, 0.6), token(UNSAFE, 0.6), token(SAFE, 0.1), *[token(SAFE, 0.45)] * 2]
    assert flags(replace(STRICT, threshold=0.4), spread[2:], 2)
