"""`edgeguard tune` in a terminal."""

from __future__ import annotations

import pytest
from command_line import CommandLine

from edgeguard.store.paths import tuning_folder


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


def test_the_command_prints_what_it_measured_and_keeps_the_best(edgeguard: CommandLine) -> None:
    done = edgeguard("tune", "--model", "nano")
    assert done.code == 0, done.err
    assert "kept for nano: " in done.out
    assert len(list(tuning_folder().glob("*.json"))) == 1


def test_a_model_that_is_not_there_is_said(edgeguard: CommandLine) -> None:
    done = edgeguard("tune")
    assert done.code == 2
    assert "gen-0.6b is not installed" in done.err
