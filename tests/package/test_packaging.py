"""The files for others' programs: workflows, the Dockerfile, the file for Compose.

What those programs' own linters say is checked where scripts/tools has installed them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYPROJECT = ROOT / "pyproject.toml"
COMPOSE = ROOT / "packaging" / "container" / "compose.yaml"
TOOLS = ROOT / "build" / "tools" / ("Scripts" if sys.platform == "win32" else "bin")


def lint(tool: str, *arguments: str | Path) -> None:
    if not (TOOLS / tool).exists():
        pytest.skip("scripts/tools has installed nothing")
    done = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
class TestWorkflows:
    def test_every_action_is_pinned_by_its_commit(self, file: Path) -> None:
        used = re.findall(r"uses: (\S+)", file.read_text(encoding="utf-8"))
        assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)

    def test_rights_are_given_job_by_job(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        assert re.search(r"^permissions: \{\}$", text, re.M)
        assert "secrets." not in text  # releases need none: PyPI trusts the workflow

    def test_its_scripts_exist(self, file: Path) -> None:
        for path in re.findall(r"\b(?:scripts|packaging)/[\w./-]+\w", file.read_text("utf-8")):
            assert (ROOT / path).exists(), path

    def test_linters_find_nothing(self, file: Path) -> None:
        lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)
        lint("zizmor", "--offline", "--no-progress", file)


def test_the_pythons_are_those_of_the_package() -> None:
    pattern = r"Python :: (3\.\d+)"
    said = re.findall(pattern, (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert set(said) == set(re.findall(r'"(3\.\d+)"', text))
    assert str(tuple(said)).replace("'", '"') in (ROOT / "scripts" / "test-matrix").read_text(
        "utf-8"
    )


def test_the_containers_linters_find_nothing() -> None:
    lint("hadolint", "Dockerfile")
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_image_gets_every_package() -> None:
    """What setuptools packages, the Dockerfile copies and .dockerignore lets through."""
    (folders,) = re.findall(r"(?m)^package-dir = (.*)$", PYPROJECT.read_text("utf-8"))
    copied = re.findall(r"(?m)^COPY (\S+) \S+$", (ROOT / "Dockerfile").read_text("utf-8"))
    let_in = re.findall(r"(?m)^!(.*)$", (ROOT / ".dockerignore").read_text("utf-8"))
    for folder in re.findall(r'= "([^"]+)"', folders):
        above = {folder, *map(str, Path(folder).parents)}
        assert above & set(copied), folder
        assert above & set(let_in), folder


def test_nothing_goes_around_the_guard() -> None:
    """Open WebUI and Ollama share no network, and only Open WebUI is published, on this machine."""
    text = COMPOSE.read_text(encoding="utf-8")
    networks = dict(re.findall(r"^  ([\w-]+):\n(?:    .*\n)*?    networks: \[(.*)\]", text, re.M))
    assert networks == {"ollama": "models", "edgeguard": "models, chat", "open-webui": "chat"}
    assert re.findall(r"ports: \[(.*)\]", text) == ['"127.0.0.1:3000:8080"']
