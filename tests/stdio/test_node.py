"""clients/node with the real child, by node's own test runner; its types; what is published."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT

from edgeguard import __version__

CLIENT = ROOT / "clients" / "node"
TSC = CLIENT / "node_modules" / ".bin" / "tsc"
COMMAND = json.dumps([sys.executable, "-m", "edgeguard"])


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "EDGEGUARD_COMMAND": COMMAND},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    return found


def test_the_client_for_node() -> None:
    run(needs("node"), "--test", "test/", folder=CLIENT)


@pytest.mark.slow
def test_its_types() -> None:
    if not TSC.exists():
        pytest.skip("needs typescript: npm install in clients/node")
    run(str(TSC), "-p", ".", folder=CLIENT)


@pytest.mark.slow
def test_what_npm_publishes_works_in_an_empty_project(tmp_path: Path) -> None:
    npm, node = needs("npm"), needs("node")
    run(npm, "pack", "--silent", "--pack-destination", str(tmp_path), folder=CLIENT)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert names == {"LICENSE", "README.md", "index.d.ts", "index.js", "package.json"}
    project = tmp_path / "project"
    project.mkdir()
    (project / "package.json").write_text('{"type": "module", "private": true}')
    run(npm, "install", "--silent", "--offline", "--no-audit", str(packed), folder=project)
    (project / "app.js").write_text(
        'import { Edgeguard } from "edgeguard";\n'
        "const command = JSON.parse(process.env.EDGEGUARD_COMMAND);\n"
        'const guard = await Edgeguard.start({ command, model: "nano" });\n'
        'console.log((await guard.check("What is the capital of France?")).severity);\n'
        "await guard.close();\n"
    )
    assert run(node, "app.js", folder=project) == "Safe\n"


def test_its_version_and_licence_are_those_of_edgeguard() -> None:
    about = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    assert about["version"] == __version__ and "dependencies" not in about
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
