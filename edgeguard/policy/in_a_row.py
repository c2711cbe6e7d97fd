"""What a policy says of a text whose tokens are labelled one by one.

A text is flagged if enough consecutive tokens are. Tokens that are flagged for their severity count
together only if the severity is the same: an Unsafe and a Controversial one count for nothing, as
in the authors' evaluation of Qwen3Guard-Stream. A token flagged by a probability counts beside any
other, since a threshold does not ask for a severity. So a policy that flags more tokens never flags
fewer texts.

A token that passes, for example because its category is ignored, does not affect the others. This
module knows no text and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeguard.policy.decision import Decision, Evidence, decide
from edgeguard.policy.policy import Policy
from edgeguard.protocol.names import Severity

IN_A_ROW = 2
"""How many tokens flag a text, as in the authors' evaluation; with 1, each token does."""


@dataclass(frozen=True)
class Flag:
    """Why a token is flagged. ``severity`` must be the same in a run; None: by a probability."""

    decision: Decision
    severity: Severity | None


def flag_of(policy: Policy, token: Evidence) -> Flag | None:
    """Why the policy flags a token, or would if it did not only observe; None if it does not."""
    decision = decide(policy, [token])
    if not decision.reason:
        return None
    return Flag(decision, None if decision.by_probability else token.severity)


def first_run(flags: Sequence[Flag | None], in_a_row: int = IN_A_ROW, start: int = 0) -> int | None:
    """The first token, at ``start`` or later, of a run of flagged tokens; None if there is none."""
    begin, last = start, dict[Severity, int]()
    for at in range(start, len(flags)):
        flag = flags[at]
        if flag is None:
            begin = at + 1
        elif flag.severity is not None:
            last[flag.severity] = at
            others = [place for one, place in last.items() if one != flag.severity]
            begin = max(begin, *(place + 1 for place in others), 0)
        if at - begin + 1 >= in_a_row:
            return at - in_a_row + 1
    return None


def suspected(flags: Sequence[Flag | None], in_a_row: int = IN_A_ROW) -> int:
    """How many tokens at the end may be the beginning of a run."""
    last = flags[len(flags) - min(in_a_row - 1, len(flags)) :]
    return _together(last[::-1])


def decide_in_a_row(
    policy: Policy, tokens: Sequence[Evidence], in_a_row: int = IN_A_ROW
) -> Decision:
    """The decision about a text by its tokens."""
    flags = [flag_of(policy, token) for token in tokens]
    first = first_run(flags, in_a_row)
    return Decision(False, "") if first is None else decision_at(flags, first, in_a_row)


def decision_at(flags: Sequence[Flag | None], first: int, in_a_row: int) -> Decision:
    """The decision at the last token of the run that begins at ``first``."""
    last = flags[first + in_a_row - 1]
    assert last is not None
    return last.decision


def _together(flags: Sequence[Flag | None]) -> int:
    """How many flags, from the first on, count together."""
    severity: Severity | None = None
    for place, flag in enumerate(flags):
        if flag is None or (severity and flag.severity and flag.severity != severity):
            return place
        severity = severity or flag.severity
    return len(flags)
