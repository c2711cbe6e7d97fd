"""Stand-ins for the managers of services: programs on the path that record how they are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeguard.service.unit import Unit

Stand = Callable[[str, str], Path]

READY = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    address = os.environ["NOTIFY_SOCKET"]
    sock.sendto(b"STATUS=loading", address)
    sock.sendto(b"READY=1\\nSTATUS=nano q8_0 is ready at http://127.0.0.1:1", address)
time.sleep(600)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a shell script on the path; returns the file that its calls are recorded in."""
    folder, calls = tmp_path / "bin", tmp_path / "calls.txt"
    folder.mkdir()
    calls.touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$*" >>"{calls}"\n{script}\n')
        program.chmod(0o755)
        return calls

    return make


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who has nothing yet."""
    home = tmp_path / "person"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.fixture
def ready_unit(tmp_path: Path) -> Unit:
    """A service that says at once that it is ready."""
    folder = tmp_path / "data"
    script = tmp_path / "ready.py"
    script.write_text(READY)
    command = (sys.executable, str(script))
    return Unit("serve", command, {"EDGEGUARD_HOME": str(folder)}, (folder,), devices=False)
