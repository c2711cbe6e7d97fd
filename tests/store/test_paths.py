"""Where things lie on each system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeguard.errors import StoreError
from edgeguard.store import paths


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user with a home folder and no variables."""
    for name in ("EDGEGUARD_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", ".local/share/edgeguard"),
        ("darwin", "Library/Application Support/edgeguard"),
        ("win32", "AppData/Local/edgeguard"),
    ],
)
def test_each_platform_has_its_place(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, platform: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert paths.home() == nobody / expected


def test_xdg_data_home_counts_if_absolute(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert paths.home() == Path("/data/edgeguard")
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert paths.home() == nobody / ".local/share/edgeguard"


def test_edgeguard_home_beats_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("EDGEGUARD_HOME", "/elsewhere")
    assert paths.models_folder() == Path("/elsewhere/models")
    monkeypatch.setenv("EDGEGUARD_HOME", "")
    assert paths.home() != Path()


def test_a_relative_home_does_not_move_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGUARD_HOME", "here")
    assert paths.home() == Path.cwd() / "here"


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEGUARD_HOME", "~no-such-user/x")
    with pytest.raises(StoreError, match="set EDGEGUARD_HOME"):
        paths.home()
