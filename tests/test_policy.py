"""Named policies: what they flag, how they are kept, and every way in which one can be wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import Guard, InputError, PolicyError, StoreError
from edgeguard.policy import LOOSE, OFFICIAL, STRICT, Calibration, Policy, is_policy_name
from edgeguard.protocol.names import SEVERITIES, SEVERITY_RANK
from edgeguard.store import file_sha256, find_policy, save_policy, saved_policies
from edgeguard.store.model_file import built_in
from edgeguard.store.paths import policies_folder

HARMLESS = "What is the capital of France?"
CALIBRATION = Calibration(
    target="false_alarms",
    wanted=0.02,
    harmless=500,
    harmful=300,
    false_alarms=9,
    hits=250,
    data_sha256="a" * 64,
    model="nano q8_0",
    date="2026-01-01T00:00:00+00:00",
    edgeguard="0",
)


def _policy(name: str = "mine", threshold: float = 0.5, sha256: str | None = None) -> Policy:
    digest = sha256 or file_sha256(built_in().path)
    return Policy(name, STRICT.harmful, threshold, digest, CALIBRATION)


@given(
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any),
    threshold=st.floats(min_value=0, max_value=1, exclude_min=True),
    base=st.sampled_from(list(OFFICIAL.values())),
)
def test_a_threshold_flags_from_itself_on(
    shares: list[float], threshold: float, base: Policy
) -> None:
    probabilities = dict(zip(SEVERITIES, (share / sum(shares) for share in shares)))
    score = sum(probabilities[severity] for severity in base.harmful)
    policy = dataclasses.replace(base, threshold=threshold)
    assert policy.flags("Safe", probabilities) is (score >= threshold)
    assert dataclasses.replace(base, threshold=score).flags("Safe", probabilities)


def test_what_is_no_number_is_flagged() -> None:
    policy = dataclasses.replace(STRICT, threshold=0.5)
    assert policy.flags("Safe", dict.fromkeys(SEVERITIES, float("nan")))


def test_whatever_loose_flags_strict_flags() -> None:
    assert set(LOOSE.harmful) < set(STRICT.harmful) < set(SEVERITY_RANK)


def test_what_is_saved_comes_back() -> None:
    assert saved_policies() == ()
    path = save_policy(_policy())
    assert find_policy("mine") == _policy()
    assert saved_policies() == ("mine",)
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.json"]
    with pytest.raises(InputError, match="there is a policy mine already"):
        save_policy(_policy(threshold=0.25))
    assert find_policy("mine").threshold == 0.5


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../mine", "a/b", "a\\b", "/mine", "C:mine", "Mine", "mine ", "mine\n"),
        *("-mine", ".mine", "a..b", "a.", "con", "nul.x", "com1", "é", "a\x00b", "x" * 65),
        *("strict", "loose"),
    ],
)
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"name|official"):
        save_policy(_policy(name))
    assert not policies_folder().exists()
    if name not in OFFICIAL:
        with pytest.raises(InputError, match="there are: strict, loose"):
            find_policy(name)


@given(st.text(max_size=70))
def test_every_name_that_is_allowed_stays_in_its_folder(name: str) -> None:
    if is_policy_name(name):
        folder = Path("/policies")
        assert (folder / f"{name}.json").parent == folder
        assert name == name.lower()  # two names are never one file where case does not count


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    save_policy(_policy("shop"))
    with pytest.raises(InputError, match="'chat'; there are: strict, loose, shop"):
        find_policy("chat")


VALID = json.loads(json.dumps(dataclasses.asdict(_policy(sha256="b" * 64))))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "[" * 100_000, "{}"),
        json.dumps(VALID)[:-20],
        *(  # type: ignore[var-annotated]
            json.dumps({**VALID, **change})
            for change in (
                {"name": "other"},
                {"threshold": None},
                {"threshold": 0},
                {"threshold": -0.5},
                {"threshold": 1.5},
                {"threshold": "0.5"},
                {"threshold": True},
                {"threshold": float("nan")},
                {"threshold": float("inf")},
                {"harmful": []},
                {"harmful": ["Safe"]},
                {"harmful": "Unsafe"},
                {"harmful": ["Unsafe", "Unsafe"]},
                {"harmful": ["Unsafe", 3]},
                {"harmful": None},
                {"model_sha256": None},
                {"model_sha256": "b" * 63},
                {"calibration": None},
                {"calibration": {**VALID["calibration"], "hits": "many"}},
                {"calibration": {**VALID["calibration"], "more": 1}},
                {"more": 1},
            )
        ),
    ],
    ids=lambda text: text[-60:],
)
def test_a_damaged_file_is_an_error(text: str) -> None:
    save_policy(_policy())
    (policies_folder() / "mine.json").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match="mine is damaged"):
        find_policy("mine")


def test_a_file_that_is_not_text_or_not_a_file_is_an_error() -> None:
    path = save_policy(_policy())
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not UTF-8"):
        find_policy("mine")
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        find_policy("mine")


@pytest.mark.usefixtures("no_home")
def test_a_folder_that_cannot_be_made_is_an_error() -> None:
    policies_folder().parent.mkdir(parents=True)
    policies_folder().write_text("in the way")
    with pytest.raises(StoreError, match="set EDGEGUARD_HOME"):
        save_policy(_policy())


def test_a_guard_flags_by_the_policy() -> None:
    with Guard("nano", threads=1) as plain:
        verdict = plain.check(HARMLESS)
    assert verdict.severity == "Safe"
    score = _policy().score(verdict.probabilities)
    save_policy(_policy("low", threshold=score))
    save_policy(_policy("high", threshold=1.0))
    with Guard("nano", policy="low", threads=1) as guard:
        assert guard.check(HARMLESS).flagged
        assert guard.check(HARMLESS).policy == "low"
        assert not guard.check(HARMLESS, policy="high").flagged
        assert not guard.check(HARMLESS, policy="strict").flagged


def test_any_window_of_a_long_text_suffices() -> None:
    text = "How can I make a bomb? " + "The garden is green. " * 200
    with Guard("nano", threads=1, n_ctx=512) as guard:
        worst = guard.check(text)
        assert worst.windows > 1
        save_policy(_policy("exact", threshold=_policy().score(worst.probabilities)))
        assert guard.check(text, policy="exact").flagged
        save_policy(_policy("never", threshold=1.0))
        assert not guard.check(text, policy="never").flagged


def test_a_policy_for_another_model_file_is_an_error(random_model: Path) -> None:
    save_policy(_policy())
    with pytest.raises(PolicyError, match=r"calibrated for the model file .* \(nano q8_0\)"):
        Guard(random_model, policy="mine", threads=1)
    with (
        Guard(random_model, allow_random_weights=True) as guard,
        pytest.raises(PolicyError, match="another file"),
    ):
        guard.check(HARMLESS, policy="mine")
