"""Small files of labelled rows, and the libraries loaded before a test's time is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.stats  # noqa: F401
import sklearn.metrics  # noqa: F401
from command_line import CommandLine
from labelled import mild_rows, write_rows


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("EDGEGUARD_THREADS", "1")
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file with the mild rows."""
    return write_rows(tmp_path / "mine.jsonl", mild_rows())
