"""The README is short, and what it names exists; its code is tried in tests/documentation."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from edgeguard.cli import ALIASES, COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_read_in_a_minute() -> None:
    assert len(README.splitlines()) <= 150


def test_every_command_that_is_named_exists() -> None:
    used = set(re.findall(r"(?:\$ |`)edgeguard ([a-z]+)", README))
    assert {"check", "serve", "proxy", "stdio"} <= used <= set(COMMANDS) | set(ALIASES)


def test_every_command_has_its_section_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## edgeguard {name}\n" in page


def test_its_limits_are_said() -> None:
    assert "`nano` protects nobody" in README
    assert "official weights have not been run by this project's tests" in README


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_script_and_tool_of_the_checkout_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:scripts|benchmarks)/[\w./-]*\w)", text))
    assert {"scripts/try", "scripts/test"} <= named
    assert not {path for path in named if not (ROOT / path).exists()}


def test_no_placeholder_is_left() -> None:
    assert "@" not in README.replace("user@", "")
