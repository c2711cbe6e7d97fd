"""Harmless lines of programs in about a hundred languages: the translations inside Django.

The package `django` is BSD-3-Clause; its strings are buttons, messages and questions. For most of
these languages no other source has harmless text. All are Safe; it judges nothing.
"""

from __future__ import annotations

import gettext
import importlib.util
import random
import re
from functools import cache
from pathlib import Path

from data import Item
from synthetic import _item, harmless

PART = 40
"""Lines of a language in one pass."""
FILLED = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|&\w+;|<[^>]+>|\x00.*", re.DOTALL)
"""What stands for a value, and marks of HTML."""


@cache
def lines() -> dict[str, list[str]]:
    """The lines of every language, by its name, without English."""
    spec = importlib.util.find_spec("django")
    assert spec is not None and spec.origin is not None, "pip install django"
    found: dict[str, set[str]] = {}
    for file in sorted(Path(spec.origin).parent.glob("**/locale/*/LC_MESSAGES/*.mo")):
        language = file.parts[-3]
        with file.open("rb") as opened:
            catalogue = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]
        for key, text in catalogue.items():
            plain = " ".join(FILLED.sub(" ", text).split())
            if key and 8 <= len(plain) <= 200 and text != key:
                found.setdefault(language, set()).add(plain)
    return {name: sorted(known) for name, known in found.items() if not name.startswith("en")}


def make(rng: random.Random, part: int = PART) -> list[Item]:
    """Some lines of each language: alone, several in a row, or as a reply."""
    items = []
    for known in lines().values():
        for _ in range(min(part, len(known))):
            text = " ".join(rng.choice(known) for _ in range(rng.choice((1, 1, 1, 2, 4))))
            if rng.random() < 0.15:
                items.append(_item((harmless(rng), text), "Safe", refusal="No"))
            else:
                items.append(_item((text,), "Safe"))
    return items
