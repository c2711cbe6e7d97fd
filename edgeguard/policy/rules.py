"""The rules for one category, and for a refusal.

    ignore          the category flags nothing
    unsafe          flag if the category is named and the severity is Unsafe
    controversial   flag if it is named and the severity is Controversial or Unsafe
    flag            flag whenever it is named
    a number        flag from this probability of the category on

A Safe answer names no category today, so ``flag`` has the same effect as ``controversial``; should
a model ever name a category beside Safe, ``flag`` would still flag it. This module decides nothing.
"""

from __future__ import annotations

from typing import Literal

from edgeguard.protocol.names import CONTROVERSIAL, SAFE, SEVERITY_RANK, UNSAFE

Rule = str | float
"""One of the words of SEVERITY_RULES, IGNORE, or a probability above 0 and at most 1."""

IGNORE = "ignore"
SEVERITY_RULES: dict[str, int] = {
    "unsafe": SEVERITY_RANK[UNSAFE],
    "controversial": SEVERITY_RANK[CONTROVERSIAL],
    "flag": SEVERITY_RANK[SAFE],
}
"""The rank of the severity from which on a named category flags."""
RULE_WORDS: tuple[str, ...] = (IGNORE, *SEVERITY_RULES)

RefusalRule = Literal["ignore", "flag", "pass"]
REFUSAL_RULES: tuple[RefusalRule, ...] = ("ignore", "flag", "pass")
