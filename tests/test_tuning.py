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
from edgeguard.tuning.measure import Measured, tune
from edgeguard.tuning.record import remember, remembered

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


@pytest.mark.parametrize(
    ("cost", "best"),
    [
        ({}, Settings(4)),
        ({"threads 3": 0.1}, Settings(3)),
        ({"n_batch 128": 0.1}, Settings(4, n_batch=128)),
        ({"flash False": 0.1}, Settings(4, flash_attention=False)),
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
    assert tune(session, 4, heard.append).settings == best
    assert session.settings == best
    assert best in [one.settings for one in heard]


def test_what_is_kept_is_found_again_on_this_machine_only() -> None:
    assert remembered(SHA256, "library") is None
    remember(SHA256, "library", Settings(3, n_batch=128, flash_attention=False))
    assert remembered(SHA256, "library") == Settings(3, n_batch=128, flash_attention=False)
    assert remembered(SHA256, "another library") is None
    assert remembered("1" * 64, "library") is None


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
        {"surprise": 1},
    ],
)
def test_a_record_that_somebody_changed_is_left_out_of_account(
    change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    path = remember(SHA256, "library", Settings(2))
    record = json.loads(path.read_text(encoding="utf-8"))
    record["settings"].update(change)
    path.write_text(json.dumps(record), encoding="utf-8")
    assert remembered(SHA256, "library") is None
    assert "tune" in caplog.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"machine": 1}'])
def test_a_damaged_record_is_left_out_of_account(content: bytes) -> None:
    path = remember(SHA256, "library", Settings(2))
    path.write_bytes(content)
    assert remembered(SHA256, "library") is None


def test_the_guard_uses_what_was_kept(nano_path: Path) -> None:
    from edgeguard.session.library import library_identity
    from edgeguard.store import file_sha256

    remember(file_sha256(nano_path), library_identity(), Settings(1, n_batch=128))
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
