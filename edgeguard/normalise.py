"""Normalises a text: undoes the disguises that a person reads through and a tokenizer does not.

    zero-width letters    b<U+200B>omb       taken out
    other forms           ｂｏｍｂ, 𝐛𝐨𝐦𝐛, ⓑⓞⓜⓑ    as plain letters
    struck-out letters    b̶o̶m̶b̶                without the marks
    spaced letters        b o m b, b.o.m.b    joined
    look-alikes           bоmb (a Cyrillic о)  in one script
    letters by digits     b0mb, k1ll, cr@ck   as letters

Look-alikes are replaced only in a word that mixes scripts, and only if the whole word is in one
script afterwards: a Cyrillic or Greek word stays as it is. Joiners stay in scripts that need them,
such as Persian and Devanagari. The table of look-alikes is a small one of our own: Unicode's
confusables (as in the package confusable-homoglyphs, with 900 kB of data) pair a Cyrillic м or к
with phonetic letters that nobody uses as a disguise, and leave out the ones that people use.

A wrong change costs a second reading and perhaps a false alarm, but never hides anything, because
the text as written is judged too. This module judges nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from edgeguard.protocol.messages import Message

_CYRILLIC = dict(
    zip("аеорсухіјѕԁһӏԛԝкмтвнгпАВЕКМНОРСТУХІЈЅЗ", "aeopcyxijsdhlqwkmtbhrnABEKMHOPCTYXIJSZ")
)
_GREEK = dict(zip("αβεικνορτυχωηΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abeikvoptuxwnABEZHIKMNOPTYX"))
_LATIN_OF = {**_CYRILLIC, **_GREEK}
_CYRILLIC_OF = {latin: letter for letter, latin in reversed(_CYRILLIC.items())}
_BEGINS = {True: "LATIN", False: "CYRILLIC"}
_LETTER_OF = dict(zip("013457@$", "oieastas"))

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Invisible characters, by Unicode's property Default_Ignorable_Code_Point."""
_OF_EMOJI = "\ufe0e\ufe0f"
_SCRIPTS_WITHOUT = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARMENIAN",
    "GEORGIAN",
    "CJK",
    "HANGUL",
    "FULLWIDTH",
)
"""Scripts that use no joiners, by the beginning of their letters' names."""

_WORD = re.compile(r"[^\W\d_]+")
_ONE = r"(?:[^\W\d_]|[013457@$])"
_SPACED = re.compile(rf"(?<!\w){_ONE}(?:([ .\-_*·|])(?=\S)){_ONE}(?:\1{_ONE})+(?![.\-_*·|]?\w)")
_WITH_DIGITS = re.compile(r"[A-Za-z013457@$]{3,24}")
_INSIDE = re.compile(r"[A-Za-z][013457@$]{1,2}[A-Za-z]")


def normalised(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, each with its text normalised."""
    return tuple(Message(message.role, normalise(message.content)) for message in messages)


def normalise(text: str) -> str:
    """The text without disguises; the same text if it has none."""
    text = _IGNORABLE.sub(_shown, text)
    if not text.isascii():
        text = "".join(map(_plain, text))
        text = _without_marks(text)
        text = _WORD.sub(_one_script, text)
    text = _SPACED.sub(_joined, text)
    return _WITH_DIGITS.sub(_spelled, text)


def _shown(match: re.Match[str]) -> str:
    """Removes an invisible character, unless its neighbours need it: an emoji, or their script."""
    text, first, last = match.string, match.start(), match.end()
    before, after = text[max(0, first - 1) : first], text[last : last + 1]
    if match.group()[0] in _OF_EMOJI and not before.isalpha():
        return match.group()
    return "" if _writes_without(before) or _writes_without(after) else match.group()


def _writes_without(character: str) -> bool:
    if not character or character.isascii():
        return character.isalnum()
    return unicodedata.name(character, "").startswith(_SCRIPTS_WITHOUT)


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """The ASCII letter or digit that a character is another form of; else the character itself."""
    # ½ and ² have a meaning of their own, and so do the ordinals in 1ª and 1º.
    if character.isascii() or unicodedata.category(character) == "No" or character in "ªº":
        return character
    form = unicodedata.normalize("NFKC", character)
    one = len(form) == 1 or "LIGATURE" in unicodedata.name(character, "")
    return form if one and form.isascii() and form.isalnum() else character


def _without_marks(text: str) -> str:
    """Removes marks on ASCII letters; those of a language compose with their letter in NFC."""
    kept: list[str] = []
    on_letter = False
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) in ("Mn", "Me"):
            if on_letter:
                continue
        else:
            on_letter = character.isascii() and character.isalpha()
        kept.append(character)
    return "".join(kept)


def _one_script(match: re.Match[str]) -> str:
    """A word of mixed scripts, in the script of most of its letters if the others look alike."""
    word = match.group()
    latin = sum(character.isascii() for character in word)
    if word.isascii() or not latin:
        return word
    tables = [_LATIN_OF, _CYRILLIC_OF]
    if 2 * latin < len(word):
        tables.reverse()
    for table, begins in ((table, _BEGINS[table is _LATIN_OF]) for table in tables):
        changed = "".join(table.get(character, character) for character in word)
        if all(unicodedata.name(one, "").startswith(begins) for one in changed):
            return changed
    return word


def _joined(match: re.Match[str]) -> str:
    """Spaced letters as one word; with dots only from four on, since U.S.A. is no disguise."""
    run, separator = match.group(), match.group(1)
    letters = run.split(separator)
    short = separator in ".-" and len(letters) < 4
    if short or sum(one.isalpha() for one in letters) < 2 or len({*letters}) == 1:
        return run
    return run if any(_no_letters_alone(one) for one in letters) else "".join(letters)


def _no_letters_alone(character: str) -> bool:
    """Whether a single character can be a word, as in Chinese."""
    return not character.isascii() and unicodedata.name(character, "").startswith(
        ("CJK", "HANGUL", "HIRAGANA", "KATAKANA")
    )


def _spelled(match: re.Match[str]) -> str:
    """Digits between the letters of a word as letters; mp3, 4th and a1b2c3 stay."""
    word = match.group()
    digits = sum(not character.isalpha() for character in word)
    if not digits or 2 * digits >= len(word) or not _INSIDE.search(word) or _part_of_more(match):
        return word
    return "".join(_LETTER_OF.get(character, character) for character in word)


def _part_of_more(match: re.Match[str]) -> bool:
    """Whether the word is part of something longer: a number or an address."""
    text, first, last = match.string, match.start(), match.end()
    before, after = text[max(0, first - 1) : first], text[last : last + 2]
    if before.isalnum() or after[:1].isalnum():
        return True
    return "@" in match.group() and after[:1] == "." and after[1:].isalpha()
