"""Nothing to judge is an error at every door: a Safe would hide that a text was lost."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import Guard, InputError, Verdict
from edgeguard.protocol.visible import has_visible
from edgeguard.session.fake import FakeSession

INVISIBLE = "\u200b\ufeff\x00\u00ad\u2060\u2800\u3164\u115f\ufe0f\u034f\u180e"
INVISIBLE += " \n\t\u00a0\u2028\U000e0041\u202e"


@given(st.text(alphabet=INVISIBLE))
def test_invisible_characters_are_nothing(text: str) -> None:
    assert not has_visible(text)


@given(
    st.text(alphabet=INVISIBLE),
    st.sampled_from("a.字!🙂\u0301\ue000٪"),
    st.text(alphabet=INVISIBLE),
)
def test_one_visible_character_is_enough(before: str, visible: str, after: str) -> None:
    assert has_visible(before + visible + after)


def test_every_letter_digit_and_sign_is_visible_but_the_fillers() -> None:
    hidden = {
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character)[0] in "LNPS" and not has_visible(character)
    }
    assert hidden == set("\u115f\u1160\u3164\uffa0\u2800")


@pytest.mark.parametrize("text", ["", " ", "\n\t ", *INVISIBLE, INVISIBLE, "\ufeff\r\n"])
def test_no_door_of_the_library_judges_nothing(text: str) -> None:
    guard = Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None"))
    refused = pytest.raises(InputError, match="nothing to judge")
    with refused:
        guard.check(text)
    with refused:
        guard.check_response("Hello", text)
    with refused:
        guard.check_messages([{"role": "user", "content": text}])
    with refused:
        guard.begin([{"role": "user", "content": "a"}, {"role": "assistant", "content": text}])
    results = list(guard.check_many([text, {"text": text}, {"text": "a", "response": text}, "a"]))
    assert [isinstance(result, Verdict) for result in results] == [False, False, False, True]
