"""The words by which a person may name a category in a policy.

The protocol's own names are accepted in any case; the words below are shorter to type. They are
listed nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from edgeguard.errors import PolicyError
from edgeguard.protocol.names import CATEGORIES

_WORDS: tuple[tuple[str, ...], ...] = (
    ("violence",),
    ("crime", "illegal"),
    ("sexual", "sex"),
    ("privacy", "personal-data"),
    ("self-harm", "suicide"),
    ("unethical", "ethics"),
    ("politics", "political"),
    ("copyright",),
    (),
)
"""For each category in the protocol's order."""

_BY_WORD: dict[str, str] = {name.casefold(): name for name in CATEGORIES}
_BY_WORD.update({word: name for name, words in zip(CATEGORIES, _WORDS) for word in words})


def words_for(category: str) -> tuple[str, ...]:
    """The words that may be typed for a category, besides its name."""
    return _WORDS[CATEGORIES.index(category)]


def category_named(word: str) -> str:
    """The category that a policy's key means. Raises PolicyError with the nearest word."""
    plain = " ".join(word.casefold().replace("_", "-").split())
    found = _BY_WORD.get(plain) or _BY_WORD.get(plain.replace(" ", "-"))
    if found is None:
        near = nearest(plain, _BY_WORD)
        names = ", ".join(CATEGORIES)
        raise PolicyError(f"there is no category {word!r}{near}; there are: {names}")
    return found


def nearest(word: str, words: Iterable[str]) -> str:
    """A question whether another word was meant; empty if none is near."""
    close = get_close_matches(word, list(words), n=1)
    if not close:
        return ""
    return f" (did you mean {_BY_WORD.get(close[0], close[0])!r}?)"
