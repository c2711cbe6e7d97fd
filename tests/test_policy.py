"""Named policies: how they are kept and found, and that a guard goes by them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeguard import Guard, InputError, PolicyError, StoreError
from edgeguard.policy import LOOSE, OFFICIAL, STRICT, Calibration, Policy, is_policy_name
from edgeguard.store import file_sha256, find_policy, save_policy, saved_policies
from edgeguard.store.model_file import built_in
from edgeguard.store.paths import policies_folder
from edgeguard.store.policies import remove_policy

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


def test_what_is_saved_comes_back() -> None:
    assert saved_policies() == ()
    path = save_policy(_policy())
    assert find_policy("mine") == _policy()
    assert saved_policies() == ("mine",)
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.toml"]
    with pytest.raises(InputError, match="there is a policy mine already"):
        save_policy(_policy(threshold=0.25))
    assert find_policy("mine").threshold == 0.5


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../mine", "a/b", "a\\b", "/mine", "C:mine", "Mine", "mine ", "mine\n"),
        *("-mine", ".mine", "a..b", "a.", "con", "nul.x", "com1", "é", "a\x00b", "x" * 65),
        *("strict", "loose", "a.toml"),
    ],
)
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"name|official"):
        save_policy(_policy(name))
    assert not policies_folder().exists()
    if name not in OFFICIAL and "/" not in name and not name.endswith(".toml"):
        with pytest.raises(InputError, match="there are: strict, loose"):
            find_policy(name)


@given(st.text(max_size=70))
def test_every_name_that_is_allowed_stays_in_its_folder(name: str) -> None:
    if is_policy_name(name):
        folder = Path("/policies")
        assert (folder / f"{name}.toml").parent == folder
        assert name == name.lower()  # two names are never one file where case does not count


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    save_policy(_policy("shop"))
    with pytest.raises(InputError, match="'chat'; there are: strict, loose, shop"):
        find_policy("chat")


def test_a_file_that_is_not_text_or_not_a_file_is_an_error() -> None:
    path = save_policy(_policy())
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="policy mine: it is not UTF-8"):
        find_policy("mine")
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        find_policy("mine")


def test_a_policy_of_an_earlier_form_is_named() -> None:
    policies_folder().mkdir(parents=True)
    (policies_folder() / "shop.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"form of an earlier version .* edgeguard policy new"):
        find_policy("shop")


def test_a_file_is_taken_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "Our shop.toml"
    path.write_text('base = "loose"\n', encoding="utf-8")
    assert find_policy(str(path)) == dataclasses.replace(LOOSE, name="Our shop.toml")
    with pytest.raises(InputError, match="no policy file"):
        find_policy(str(tmp_path / "other.toml"))
    for other in ("strict", "policy.json"):  # a file never passes for an official policy
        with pytest.raises(InputError, match=r"must end in \.toml"):
            find_policy(str(tmp_path / other))


def test_a_removed_policy_is_gone() -> None:
    path = save_policy(_policy())
    assert remove_policy("mine") == path
    assert saved_policies() == ()
    for name, said in (("mine", "unknown policy"), ("strict", "official"), ("../a", "cannot be")):
        with pytest.raises(InputError, match=said):
            remove_policy(name)


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
