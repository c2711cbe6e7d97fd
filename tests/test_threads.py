"""How many threads compute: as asked for, as tuned, or one less than there are cores."""

from __future__ import annotations

import pytest
from command_line import CommandLine

from edgeguard import Guard, InputError, loading
from edgeguard.session.settings import Threads


@pytest.mark.parametrize(
    ("asked", "cores", "tuned", "threads"),
    [
        (None, 4, 4, 4),
        (None, 4, 2, 2),
        (3, 4, 2, 3),
        ("background", 4, 4, 3),
        ("background", 4, 2, 2),  # what was tuned leaves more alone already
        ("background", 1, 1, 1),
    ],
)
def test_threads(
    monkeypatch: pytest.MonkeyPatch,
    asked: Threads,
    cores: int,
    tuned: int,
    threads: int,
) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: cores)
    assert loading._threads(asked, tuned) == threads


def test_a_guard_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: 2)
    with Guard("nano", threads="background") as guard:
        assert guard.settings is not None and guard.settings.threads == 1
    with pytest.raises(InputError, match="'background'"):
        Guard("nano", threads="foreground")  # type: ignore[arg-type]


def test_the_command_takes_the_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edgeguard = CommandLine(capsys, monkeypatch)
    assert edgeguard("check", "--model", "nano", "--threads", "background", "Hello").code == 0
    assert edgeguard("check", "--model", "nano", "--threads", "many", "Hello").code == 2
