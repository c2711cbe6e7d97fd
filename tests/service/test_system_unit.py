"""The unit for a whole server: systemd reads it, and rates what it leaves open."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

UNIT = ROOT / "packaging" / "systemd" / "edgeguard.service"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def test_systemd_reads_it(tmp_path: Path) -> None:
    program = tmp_path / "edgeguard"
    program.touch(mode=0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/edgeguard/bin/edgeguard", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", str(unit)],
        capture_output=True,
        text=True,
    )
    about_ours = [line for line in done.stderr.splitlines() if "edgeguard" in line]
    assert done.returncode == 0 and not about_ours, done.stderr


def test_little_is_open() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "offline" in done.stderr:
        pytest.skip("this systemd-analyze rates no files")
    found = re.search(r"exposure level for edgeguard.service: ([\d.]+)", done.stdout)
    assert found is not None and float(found[1]) <= 1.5, done.stdout
