"""A policy in words, for lists and headings. This module decides nothing."""

from __future__ import annotations

from edgeguard.policy.policy import Policy


def in_words(policy: Policy) -> str:
    """What a policy says, in one line."""
    over = " + ".join(f"P({severity})" for severity in policy.harmful)
    base = (
        f"flags {' and '.join(policy.harmful)}"
        if policy.threshold is None
        else f"flags {over} >= {policy.threshold:.6g}"
    )
    return "; ".join([base, *rules_in_words(policy)])


def rules_in_words(policy: Policy) -> list[str]:
    """Everything but the base."""
    said = [
        f"{category}: {f'from {rule:.6g}' if isinstance(rule, float) else rule}"
        for category, rule in policy.categories
    ]
    if policy.refusal != "ignore":
        said.append(f"refusals: {policy.refusal}")
    if policy.normalise:
        said.append("judges the normalised text too")
    if policy.observe:
        said.append("only observes: flags nothing")
    if policy.model_sha256 is not None:
        said.append(f"for the model file {policy.model_sha256[:12]}… alone")
    return said
