"""A policy as a file: what is written comes back, and whatever is wrong is said in one line."""

from __future__ import annotations

import dataclasses

import pytest
from drawn_policies import policies
from hypothesis import given

from edgeguard import PolicyError
from edgeguard.policy import LOOSE, STRICT, Policy, read_policy, write_policy
from edgeguard.policy.categories import category_named, words_for
from edgeguard.protocol.names import CATEGORIES

SHA = "b" * 64
CALIBRATION = """
[calibration]
target = "recall"
wanted = 0.9
harmless = 20
harmful = 12
false_alarms = 1
hits = 11
data_sha256 = "aa"
model = "nano q8_0"
date = "2026-01-01"
edgeguard = "0"
"""


def _read(text: str) -> Policy:
    return read_policy("mine", text.encode())


@given(policy=policies())
def test_what_is_written_comes_back(policy: Policy) -> None:
    assert read_policy("drawn", write_policy(policy).encode()) == policy
    changed = dataclasses.replace(policy, observe=True, normalise=True, model_sha256=SHA)
    assert read_policy("drawn", write_policy(changed).encode()) == changed


def test_an_empty_file_is_strict() -> None:
    assert _read("") == dataclasses.replace(STRICT, name="mine")
    assert _read('base = "loose"') == dataclasses.replace(LOOSE, name="mine")
    assert _read(CALIBRATION).calibration is not None


def test_a_threshold_is_over_the_severities_that_are_named() -> None:
    assert _read("threshold = 0.3").harmful == STRICT.harmful
    assert _read('threshold = 1\nover = "unsafe"') == dataclasses.replace(
        LOOSE, name="mine", threshold=1.0
    )


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_is_known_by_its_words(category: str) -> None:
    for word in (category, category.upper(), *words_for(category)):
        assert category_named(word) == category
        assert _read(f'[categories]\n"{word}" = "ignore"').categories == ((category, "ignore"),)


def test_no_word_means_two_categories() -> None:
    words = [word for name in CATEGORIES for word in (name.casefold(), *words_for(name))]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base = 5", '\'base\' is 5; it must be one of "strict", "loose"'),
        ('base = "strikt"', "did you mean 'strict'?"),
        ('base = ["strict"]', "'base' is a list"),
        ('base = "strict"\nthreshold = 0.3', "keep one of them"),
        ('over = "unsafe"', "there is no 'threshold'"),
        ("threshold = 0", "above 0, and at most 1"),
        ("threshold = -0.5", "above 0, and at most 1"),
        ("threshold = 1.5", "above 0, and at most 1"),
        ("threshold = nan", "'threshold' is nan"),
        ("threshold = -inf", "'threshold' is -inf"),
        ("threshold = true", "'threshold' is true"),
        ('threshold = "0.5"', "'threshold' is '0.5'"),
        ("threshold = 2026-01-01", "'threshold' is 2026-01-01"),
        (f"threshold = {'9' * 400}", "999…; a probability"),
        (f"threshold = {'9' * 100_000}", "has more than"),
        (f"threshold = {'9' * 50_000}", "not TOML"),
        (f"threshold = 0x{'f' * 50_000}", "very many digits"),
        ('threshold = 0.5\nover = "safe"', "'over' is 'safe'"),
        ('refusal = "block"', "'refusal' is 'block'"),
        ('observe = "no"', "'observe' is 'no'; it must be true or false"),
        ("normalise = 1", "'normalise' is 1"),
        ("normalize = true", "unknown key 'normalize' (did you mean 'normalise'?)"),
        ("category = {}", "did you mean 'categories'?"),
        ("categories = 3", "[categories]"),
        ("[[categories]]", "'categories' is a list"),
        ('[categories]\npolitcs = "ignore"', "did you mean 'Politically Sensitive Topics'?"),
        ('[categories]\nweather = "ignore"', "there are: Violent, "),
        ('[categories]\nViolent = "ignored"', "did you mean 'ignore'?"),
        ('[categories]\nViolent = "ignore"\nviolence = "flag"', "has two rules"),
        ('[categories]\nViolent = "ignore"\nViolent = "flag"', "not TOML"),
        ("[categories]\nViolent = 0", "above 0, and at most 1"),
        ("[categories]\nViolent = true", "is true; it must be one of"),
        ("[categories]\nViolent = nan", "is nan"),
        ("[categories.Violent]\nfrom = 1", "is a table"),
        ('model_sha256 = "ab"', "is not a sha256"),
        ("model_sha256 = 5", "is not a sha256"),
        ("[calibration]", "must be a table of target"),
        (CALIBRATION.replace("hits = 11", "hits = true"), "'calibration.hits' is true"),
        (CALIBRATION.replace("0.9", "nan"), "'calibration.wanted' is not a finite number"),
        (CALIBRATION + "more = 1", "must be a table of target"),
        (f"{'k' * 50_000} = 1", "unknown key 'kkk"),
        (f"[categories]\n{'k' * 50_000} = 1", "there is no category 'kkk"),
        ("base", "not TOML"),
        ("base = \x00", "not TOML"),
        ("{", "not TOML"),
        ('{"base": "strict"}', "not TOML"),
        (f"base = {'[' * 20_000}", "it is nested too deep"),
        ("\ufeffbase = 'strict'", "byte order mark"),
        ("# " + "x" * (1 << 16), "has more than"),
    ],
    ids=lambda text: text[:40].replace("\n", " "),
)
def test_what_is_wrong_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as raised:
        _read(text)
    message = str(raised.value)
    assert message.startswith("policy mine: ")
    assert said in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize("data", [b"\xff\xfe", 'base = "strict"'.encode("utf-16"), b"# \xe9"])
def test_what_is_not_utf_8_is_said(data: bytes) -> None:
    with pytest.raises(PolicyError, match="policy mine: it is not UTF-8"):
        read_policy("mine", data)
