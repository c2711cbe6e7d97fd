"""clients/node with the real child, by node's own test runner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT


def test_the_client_for_node() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    command = json.dumps([sys.executable, "-m", "edgeguard"])
    done = subprocess.run(
        [node, "--test", "test/"],
        cwd=ROOT / "clients" / "node",
        env={**os.environ, "EDGEGUARD_COMMAND": command},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
