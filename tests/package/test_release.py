"""scripts/release makes packages that install with uv and pipx; see docs/releasing.md.

Minutes: both packages are built several times, and the tools are installed from the index.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

REPOSITORY = "https://example.org/somebody/edgeguard"

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def tools() -> Path:
    done = subprocess.run(["bash", ROOT / "scripts" / "tools"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the tools cannot be installed: {done.stderr[-300:]}")
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Path:
    """A folder that a release was made in."""
    assert (tools / "uv").exists()
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(ROOT / "scripts" / "release"), str(folder)]
    environment = {**os.environ, "REPOSITORY": REPOSITORY}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def llama_cpp() -> Path:
    """The folder of the wheel of llama-cpp-python for this machine."""
    script = ["bash", str(ROOT / "scripts" / "build-llama-cpp")]
    done = subprocess.run(
        script, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}
    )
    return Path(done.stdout.strip().splitlines()[-1]).parent


@slow
def test_what_is_there(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    (sdist,) = released.glob("*.tar.gz")
    for line in (released / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((released / name).read_bytes()).hexdigest() == digest
    assert {wheel.name, sdist.name} == set(
        re.findall(r"\S+$", (released / "SHA256SUMS").read_text(), re.M)
    )
    (sbom,) = released.glob("*.cdx.json")
    found = json.loads(sbom.read_text())
    assert {"llama-cpp-python", "numpy", "click"} <= {part["name"] for part in found["components"]}
    assert "### Added" in (released / "CHANGES.md").read_text()


@slow
def test_the_description_holds_anywhere(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(name).decode()
    links = re.findall(r"!?\[[^\]]*\]\(([^)]+)\)", text)
    assert links and all(link.startswith(("https://", "#")) for link in links)
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert picture.startswith(f"{REPOSITORY}/raw/v")
    assert f"Repository, {REPOSITORY}" in text


@slow
@pytest.mark.parametrize("tool", ["uv", "pipx"])
def test_it_installs_from_an_empty_folder(
    released: Path, tools: Path, llama_cpp: Path, tmp_path: Path, tool: str
) -> None:
    (wheel,) = released.glob("*.whl")
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_DEFAULT_BACKEND": "pip",
    }
    links = ["--find-links", str(llama_cpp)]
    commands: dict[str, list[str | Path]] = {
        "uv": [tools / "uv", "tool", "install", "--python", sys.executable, *links, wheel],
        "pipx": [
            *(tools / "pipx", "install", "--python", sys.executable, "--pip-args"),
            *(" ".join(links), wheel),
        ],
    }
    done = subprocess.run(
        commands[tool], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    judged = subprocess.run(
        [tmp_path / "bin" / "edgeguard", "check", "--model", "nano", "--json", "Hello"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["severity"] == "Safe"
    assert not list(empty.iterdir())
