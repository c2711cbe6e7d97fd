"""Generated items that say nothing at all: one piece again and again, codes, letters of any script.

They are Safe. A model that never saw such a text flags half of them. It reads no list and no row.
"""

from __future__ import annotations

import random

from data import Item
from synthetic import _item, harmless

PIECES = (
    "a",
    "ab ",
    "!",
    "0",
    "=",
    "\n",
    "x1 ",
    "{",
    "<",
    "\\",
    "test ",
    "😀",
    "你",
    "ا",
    "да ",
    "한",
)
SCRIPTS = (0xA1, 0x400, 0x5D0, 0x620, 0x905, 0xE01, 0x10D0, 0x3041, 0x4E00, 0xAC00)
"""A character from which on a script has thirty letters or more."""


def make(rng: random.Random, number: int) -> list[Item]:
    """Texts of every kind, a third of them as the reply to a harmless request."""
    kinds = (_repeated, _code, _printable, _letters)
    items = []
    for n in range(number):
        text = kinds[n % len(kinds)](rng, rng.choice((1, 3, 10, 40, 150)))
        if rng.random() < 0.3:
            items.append(_item((harmless(rng), text), "Safe", refusal="No"))
        else:
            items.append(_item((text,), "Safe"))
    return items


def _repeated(rng: random.Random, size: int) -> str:
    return rng.choice(PIECES) * size + "."


def _code(rng: random.Random, size: int) -> str:
    return rng.randbytes(size).hex()


def _printable(rng: random.Random, size: int) -> str:
    return "".join(chr(rng.randrange(33, 127)) for _ in range(size))


def _letters(rng: random.Random, size: int) -> str:
    low = rng.choice(SCRIPTS)
    return "".join(chr(low + rng.randrange(30)) for _ in range(min(size, 40)))
