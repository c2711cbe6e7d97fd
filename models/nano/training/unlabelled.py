"""Texts that nobody has labelled: the teacher alone says what they are.

The small model learns from them what a word does to a text: frames with any word, and two rows of
one language crossed. A row's own label means nothing afterwards.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace

import e5
from data import Item
from synthetic import _item, explore, foreign, harmful, harmless

LONGEST = 220
"""Characters of a row that is crossed with another."""
OFTEN = 2
"""English rows that a word stands in at least."""


def make(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """A third in frames of our own, the rest crossed."""
    framed = explore(rng, english_words(rows), rows, number // 3)
    return [*framed, *crossed(rng, rows, number - len(framed))]


def english_words(rows: list[Item]) -> list[str]:
    """Words that the encoder knows and several English rows have."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.lang == "en":
            found.update(set(row.text.lower().split()))
    known = {word for word in e5.known_words() if word.isascii() and len(word) > 2}
    return sorted(word for word, times in found.items() if times >= OFTEN and word in known)


def crossed(rng: random.Random, rows: list[Item], number: int) -> list[Item]:
    """Pairs of one language: words of one within the other, or half of each."""
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if len(row.messages) == 1 and len(row.text) <= LONGEST:
            texts[row.lang].append(row.text)
    languages = [name for name, known in texts.items() if len(known) > 20]
    weights = [len(texts[name]) ** 0.5 for name in languages]
    items = []
    for _ in range(number):
        if rng.random() < 0.5:
            pair, language = (_made(rng), _made(rng)), "en"
        elif rng.random() < 0.2:
            one, other = foreign(rng, 2)
            pair, language = (one.text, other.text), "other"
        else:
            language = rng.choices(languages, weights)[0]
            pair = rng.choice(texts[language]), rng.choice(texts[language])
        item = _item((_cross(rng, *pair),), "Safe")
        items.append(replace(item, lang=language, labelled=False))
    return items


def _made(rng: random.Random) -> str:
    return harmful(rng)[0] if rng.random() < 0.5 else harmless(rng)


def _cross(rng: random.Random, one: str, other: str) -> str:
    first, second = one.split(), other.split()
    if min(len(first), len(second)) < 3:  # scripts without spaces, too
        return one[: max(1, len(one) // 2)] + other[len(other) // 2 :]
    if rng.random() < 0.3:
        return " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])
    for _ in range(rng.choice((1, 1, 2, 3))):
        first[rng.randrange(len(first))] = rng.choice(second)
    return " ".join(first)
