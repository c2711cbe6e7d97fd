"""Whether a text has anything to judge: at least one character that a person could see.

A text without any comes from a program that lost the text, and "Safe" would hide that. By Unicode's
general categories, spaces, line breaks, controls and format characters are invisible. So are the
characters that Unicode calls default ignorable, some letters and marks among them, and the blank of
Braille. Characters for private use and those that this version of Python does not know (categories
Co and Cn) count as visible: a font may have a glyph for them, and the model reads their bytes.

Source: DerivedCoreProperties.txt of Unicode 15.1, Default_Ignorable_Code_Point.
"""

from __future__ import annotations

import unicodedata

_INVISIBLE_KINDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),  # the blank pattern of Braille is not default ignorable, but shows nothing
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)


def has_visible(text: str) -> bool:
    """Whether a person could see anything of the text."""
    return any(_is_visible(character) for character in set(text))


def _is_visible(character: str) -> bool:
    if unicodedata.category(character) in _INVISIBLE_KINDS:
        return False
    code = ord(character)
    if code & 0xFFFE == 0xFFFE:  # U+FFFE, U+FFFF and the other noncharacters
        return False
    return not any(first <= code <= last for first, last in _RANGES)
