"""Which of OpenAI's 13 moderation keys each of the model's nine categories fills.

A key is filled if the definition of a category in the Qwen3Guard report (section 2) covers it:
Violent covers instructions for violence and weapons as well as depictions; Unethical Acts names
hate speech and harassment. No category covers the finer keys (threatening, minors, graphic, intent,
instructions). Four categories have no key of OpenAI's. A client that reads only the categories
would let their texts pass, so they have additional keys, under their own names. A text that is
flagged without any category, or could not be judged, fills `other`.

This module flags nothing.
"""

from __future__ import annotations

from edgeguard.protocol.names import CATEGORIES

KEYS: tuple[str, ...] = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's keys (omni-moderation, 2024-09)."""

_IN_ORDER: tuple[tuple[str, ...], ...] = (
    ("violence", "illicit/violent"),
    ("illicit",),
    ("sexual",),
    (),
    ("self-harm",),
    ("hate", "harassment"),
    (),
    (),
    (),
)

KEYS_OF: dict[str, tuple[str, ...]] = dict(zip(CATEGORIES, _IN_ORDER, strict=True))
"""The keys of each category, in the order of edgeguard.protocol.names.CATEGORIES."""

OTHER = "other"
ANY_KEY = "illicit"
"""Of OpenAI's keys, the one nearest to what has none, where only these may be used."""
FURTHER: tuple[str, ...] = (*(name for name, keys in KEYS_OF.items() if not keys), OTHER)
"""The keys that OpenAI does not have."""
ALL_KEYS: tuple[str, ...] = (*KEYS, *FURTHER)

SOURCED: frozenset[str] = frozenset({*(key for keys in _IN_ORDER for key in keys), *FURTHER})
"""The keys that can ever be true."""


def keys_of(category: str) -> tuple[str, ...]:
    """The keys that a category fills."""
    return KEYS_OF[category] or (category,)
