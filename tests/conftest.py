"""What every test gets: an empty models folder, no EDGEGUARD_* variables, no network.

Fixtures that several folders of tests share live here; a test that needs something this machine
lacks skips and says what.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point every folder that edgeguard or the hub may touch at an empty one; return it."""
    for name in list(os.environ):
        if name.startswith(("EDGEGUARD_", "HF_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EDGEGUARD_HOME", str(home / "edgeguard"))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("NO_COLOR", "1")
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and data beside the repository; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared, which is not part of the project")
    return SHARED
