"""Policies: which rules apply, as a small file that a person can write.

Reading order: rules, policy, decision (what a policy says of a text), in_a_row (the same for a text
whose tokens are labelled), categories, toml_file (a policy as a file's text). Saved policies are
kept by edgeguard.store.policies.

Nothing here judges a text, or reads or writes a file.
"""

from edgeguard.policy.decision import Decision, Evidence, decide, distance
from edgeguard.policy.policy import (
    LOOSE,
    OFFICIAL,
    STRICT,
    Calibration,
    Policy,
    content_of,
    is_policy_name,
)
from edgeguard.policy.toml_file import read_policy, write_policy

__all__ = [
    "LOOSE",
    "OFFICIAL",
    "STRICT",
    "Calibration",
    "Decision",
    "Evidence",
    "Policy",
    "content_of",
    "decide",
    "distance",
    "is_policy_name",
    "read_policy",
    "write_policy",
]
