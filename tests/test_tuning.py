"""Tuning: the best of what was measured, kept for this machine, and never trusted blindly."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgeguard import Guard
from edgeguard.session.fake import FakeSession
from edgeguard.session.settings import Settings
from edgeguard.store.paths import tuning_folder
from edgeguard.store.preferred import prefer, preferred
from edgeguard.tuning import record
from edgeguard.tuning.measure import Measured, computes_plain, loads_plain, tune
from edgeguard.tuning.record import remember, remembered, remembered_plain

SHA256 = "0" * 64


class Slow(FakeSession):
    """A session that takes the time that its settings deserve."""

    def __init__(self, cost: dict[str, float]) -> None:
        super().__init__(lambda _question: "Safety: Safe\nCategories: None")
        self._cost = cost
        self.clock = 0.0

    def read(self, tokens: Sequence[int], **how: Any) -> Any:
        assert self.settings is not None
        parts = (
            f"threads {self.settings.threads}",
            f"n_batch {self.settings.n_batch}",
            f"flash {self.settings.flash_attention}",
        )
        self.clock += sum(self._cost.get(part, 1.0) for part in parts)
        return super().read(tokens, **how)

    def take_time(self) -> None:
        """Of a common pass, a time for each sequence; of one that is read alone, none more."""
        assert self.settings is not None
        number = self.settings.sequences
        self.clock += number * self._cost.get(f"sequences {number}", 1.0)


@pytest.mark.parametrize(
    ("cost", "best"),
    [
        ({}, Settings(4)),
        ({"threads 3": 0.1}, Settings(3)),
        ({"n_batch 128": 0.1}, Settings(4, n_batch=128)),
        ({"flash False": 0.1}, Settings(4, flash_attention=False)),
        ({"sequences 4": 0.1}, Settings(4, sequences=4)),
        ({"sequences 16": 0.1}, Settings(4, sequences=16)),
        (
            dict.fromkeys(("sequences 4", "sequences 8", "sequences 16"), 5.0),
            Settings(4, sequences=1),
        ),
        (
            {"threads 2": 0.1, "n_batch 256": 0.1, "flash False": 0.1},
            Settings(2, n_batch=256, flash_attention=False),
        ),
    ],
)
def test_the_best_settings_are_found(
    cost: dict[str, float], best: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Measured] = []
    session = Slow(cost)
    monkeypatch.setattr(time, "perf_counter", lambda: session.clock)
    tuned = tune(session, 4, heard.append)
    assert tuned.best.settings == best
    assert session.settings == best
    assert (tuned.alone > 1 or tuned.together > 1) is (best != Settings(4)), (
        "it says what it gained"
    )
    assert best in [one.settings for one in heard]


class Fickle(Slow):
    """Batches of 128 are fast at first, and slow once texts have shared passes."""

    def take_time(self) -> None:
        super().take_time()
        self._cost["n_batch 128"] = 2.0


def test_what_does_not_win_the_last_race_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Fickle({"n_batch 128": 0.1})
    monkeypatch.setattr(time, "perf_counter", lambda: session.clock)
    tuned = tune(session, 4)
    assert session.settings == tuned.best.settings == Settings(4)
    assert (tuned.alone, tuned.together) == (1.0, 1.0)


def test_what_is_kept_is_found_again_on_this_machine_only() -> None:
    assert remembered(SHA256, "library") is None
    settings = Settings(3, n_batch=128, flash_attention=False)
    remember(SHA256, "library", settings, plain=False, plain_in_one_shot=True)
    assert remembered(SHA256, "library") == Settings(3, n_batch=128, flash_attention=False)
    assert remembered(SHA256, "another library") is None
    assert remembered("1" * 64, "library") is None


def test_which_weights_a_command_loads_is_kept_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert remembered_plain(SHA256, one_shot=True) is None
    for plain in (True, False):
        remember(SHA256, "library", Settings(2), plain=not plain, plain_in_one_shot=plain)
        assert remembered_plain(SHA256, one_shot=True) is plain
        assert remembered_plain(SHA256, one_shot=False) is not plain
    monkeypatch.setattr(record, "physical_cores", lambda: 77)
    assert remembered_plain(SHA256, one_shot=True) is None


@pytest.mark.parametrize("value", [1, "true", None])
def test_which_weights_is_true_or_false(value: object, caplog: pytest.LogCaptureFixture) -> None:
    path = remember(SHA256, "library", Settings(2), plain=False, plain_in_one_shot=True)
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["plain_weights_in_one_shot"] = kept["plain_weights"] = value
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert remembered_plain(SHA256, one_shot=True) is None
    assert remembered_plain(SHA256, one_shot=False) is None
    assert "tune" in caplog.text


@pytest.mark.parametrize(
    ("rearranged", "plain", "faster"), [(1.0, 0.8, True), (1.0, 0.98, False), (1.0, 1.2, False)]
)
def test_plain_weights_are_taken_where_they_compute_faster(
    rearranged: float, plain: float, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("threads 2", "n_batch 512", "flash True", "sequences 8")
    one, other = (Slow(dict.fromkeys(names, cost)) for cost in (rearranged, plain))
    monkeypatch.setattr(time, "perf_counter", lambda: one.clock + other.clock)
    found = computes_plain(one, other, Settings(2))
    assert found.is_faster is faster
    assert (found.alone, found.together) == pytest.approx((rearranged / plain,) * 2)


@pytest.mark.parametrize(("seconds", "plain"), [((3.0, 2.0), True), ((2.0, 1.984375), False)])
def test_plain_weights_have_to_be_clearly_faster(
    seconds: tuple[float, float], plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def make(is_plain: bool) -> FakeSession:
        clock[0] += seconds[is_plain]
        return FakeSession(lambda _: "Safety: Safe\nCategories: None")

    assert loads_plain(make, Settings(2)) == (plain, list(seconds))


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 0},
        {"threads": "2"},
        {"threads": 10**9},
        {"threads": True},
        {"n_batch": 1},
        {"n_batch": 10**9},
        {"flash_attention": 1},
        {"sequences": 0},
        {"sequences": 10**6},
        {"surprise": 1},
    ],
)
def test_a_record_that_somebody_changed_is_left_out_of_account(
    change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path = remember(SHA256, "library", Settings(2), plain=True, plain_in_one_shot=False)
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["settings"].update(change)
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert remembered(SHA256, "library") is None
    assert "tune" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"machine": 1}'])
def test_a_damaged_record_is_left_out_of_account(content: bytes) -> None:
    path = remember(SHA256, "library", Settings(2), plain=True, plain_in_one_shot=False)
    path.write_bytes(content)
    assert remembered(SHA256, "library") is None


def test_the_guard_uses_what_was_kept(nano_path: Path) -> None:
    from edgeguard.session.library import library_identity
    from edgeguard.store import file_sha256

    settings = Settings(1, n_batch=128)
    remember(
        file_sha256(nano_path), library_identity(), settings, plain=False, plain_in_one_shot=True
    )
    with Guard(nano_path) as guard:
        assert guard.settings == Settings(1, n_batch=128)
    with Guard(nano_path, threads=2) as guard:
        assert guard.settings == Settings(2, n_batch=128)


def test_a_preference_is_kept_and_damage_means_none() -> None:
    assert preferred("gen-0.6b") is None
    prefer("gen-0.6b", "gen-0.6b-q8_0")
    prefer("other", "other-q4_0")
    assert (preferred("gen-0.6b"), preferred("other")) == ("gen-0.6b-q8_0", "other-q4_0")
    (tuning_folder() / "preferred.json").write_text("[1]", encoding="utf-8")
    assert preferred("gen-0.6b") is None
