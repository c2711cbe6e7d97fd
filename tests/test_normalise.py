"""The normalising step: disguises go, and whatever is no disguise stays as it is."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import Guard
from edgeguard.normalise import normalise, normalised
from edgeguard.policy import STRICT, Policy
from edgeguard.protocol.messages import Message
from edgeguard.session.fake import FakeSession
from edgeguard.store import save_policy

DISGUISED = {
    "a b\u200bo\u200bm\u200bb": "a bomb",
    "a b\u00adomb": "a bomb",
    "a b\ufe0fomb": "a bomb",
    "a \U000e0062bomb": "a bomb",
    "ｂｏｍｂ": "bomb",
    "𝐛𝐨𝐦𝐛 𝓫𝓸𝓶𝓫 ⓑⓞⓜⓑ": "bomb bomb bomb",
    "ﬁne": "fine",
    "b̶o̶m̶b̶": "bomb",
    "b o m b": "bomb",
    "b.o.m.b b-o-m-b b*o*m*b": "bomb bomb bomb",
    "m a k e  a  c a k e": "make  a  cake",
    "bоmb": "bomb",
    "кnife": "knife",
    "нaука": "наука",
    "б о м б а": "бомба",
    "b0mb k1ll cr@ck h4ck w3ap0n p@ssw0rd": "bomb kill crack hack weapon password",
}
PLAIN = [
    "What is the capital of France? It is 5 o'clock, and 20 % of 1,000 is 200.",
    *("mp3 4th gpt4 covid19 a1b2c3 3f5a33d2 1080p H2O B2B 2x4 x86_64 ISO8601", "me@example.com"),
    *("U.S.A., a.k.a., e.g., i.e., p.m.", "x = a + b - c", "1 2 3 4 5", "- - - - -", "$100, €20"),
    *("½ x² 1º 1ª № 5 ™ 10㎏", "naïve café, Straße, Ærø, İstanbul, tiếng Việt, ọjọ́, žąsis"),
    *("Привет, как дела? И в лесу", "Καλημέρα κόσμε", "שלום עולם", "مرحبا بالعالم"),
    *(
        "می\u200cخواهم",
        "क्\u200dष",
        "ภาษา\u200bไทย",
        "你 好 吗 啊",
        "中文，标点。",
        "안녕하세요",
        "こんにちは",
    ),
    *("👨\u200d👩\u200d👧 ❤️ 1️⃣ 🏴\U000e0067\U000e0062\U000e007f", "iPhone-ом", "5-й", "COVID-ом"),
]


@pytest.mark.parametrize(("text", "meant"), DISGUISED.items())
def test_a_disguise_is_taken_off(text: str, meant: str) -> None:
    assert normalise(text) == meant


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_disguise_stays(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert normalise(text) == text


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_stays_a_text(text: str) -> None:
    once = normalise(text)
    once.encode()
    assert bool(once.strip()) or not text.strip() or not any(map(str.isprintable, text))


@pytest.mark.parametrize(
    "letters",
    [
        "абвгдежзиклмнопрстуфхцчшщъыьэюя",
        "αβγδεζηθικλμνξοπρστυφχψω",
        "אבגדהוזחט",
        "अआइईउकखग",
        "ابتثج",
    ],
)
@given(data=st.data())
def test_words_of_one_script_stay(letters: str, data: st.DataObject) -> None:
    words = st.lists(st.text(letters, min_size=2, max_size=8), max_size=6)
    text = " ".join(data.draw(words))
    assert normalise(text) == text


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=12), st.data())
def test_letters_between_which_nothing_shows_are_a_word(word: str, data: st.DataObject) -> None:
    hidden = data.draw(st.sampled_from("\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e"))
    assert normalise(hidden.join(word)) == word
    assert normalise("".join(chr(ord(letter) + 0xFEE0) for letter in word)) == word


@pytest.mark.parametrize(
    "part", ["a ", "a\u200b", "0a", "а", "\u0336", "b.", "aа", "１", "@a.", "\u200d"]
)
def test_a_megabyte_takes_a_moment(part: str) -> None:
    text = part * (1_000_000 // len(part))
    started = time.perf_counter()
    normalise(text)
    assert time.perf_counter() - started < 20


def _script(question: str) -> str:
    flagged = "bomb" in question.rsplit("BEGIN CONVERSATION")[-1]
    return "Safety: Unsafe\nCategories: Violent" if flagged else "Safety: Safe\nCategories: None"


def test_either_form_suffices_and_the_verdict_says_which() -> None:
    save_policy(Policy("both", STRICT.harmful, normalise=True))
    session = FakeSession(_script)
    guard = Guard.with_session(session, policy="both")
    disguised = guard.check("a b0mb")
    assert (disguised.flagged, disguised.form) == (True, "normalised")
    assert disguised.reason == 'base = "strict" (Unsafe)'
    assert len(session.reads) == 2
    assert disguised.tokens > guard.check("a bomb").tokens * 3 // 2
    assert disguised.windows == 1
    plain = guard.check("a b0mb, a bomb")  # flagged either way
    assert (plain.flagged, plain.form) == (True, "as written")
    assert not guard.check("a b0mb", policy="strict").flagged
    session.reads.clear()
    assert guard.check("a bomb").form == "as written"
    assert len(session.reads) == 1  # nothing to take off, nothing read twice
    assert guard.begin([{"role": "user", "content": "a b0mb"}]).windows == 2


def test_every_message_is_normalised() -> None:
    messages = (Message("user", "b\u200bo"), Message("assistant", "f1ne"))
    assert normalised(messages) == (Message("user", "bo"), Message("assistant", "fine"))


def test_the_form_that_is_flagged_counts_before_the_worse_severity() -> None:
    rules = (("Politically Sensitive Topics", "ignore"),)
    save_policy(Policy("both", STRICT.harmful, categories=rules, normalise=True))

    def script(question: str) -> str:
        text = question.rsplit("BEGIN CONVERSATION")[-1]
        if "bomb" in text:
            return "Safety: Controversial\nCategories: Violent"
        return "Safety: Unsafe\nCategories: Politically Sensitive Topics"

    verdict = Guard.with_session(FakeSession(script), policy="both").check("a b0mb")
    assert (verdict.flagged, verdict.form, verdict.categories) == (True, "normalised", ("Violent",))
