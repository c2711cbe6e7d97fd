"""The Python in the README runs, and its commands and options exist."""

from __future__ import annotations

import re

import click
import pytest
from conftest import ROOT

from edgeguard.cli import ALIASES, COMMANDS, cli

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_the_python_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_every_command_exists_and_is_in_the_readme() -> None:
    used = set(re.findall(r"(?:\$ |`)edgeguard ([a-z]+)", README))
    assert used - {"check"} <= set(COMMANDS) | set(ALIASES)
    for name in COMMANDS:
        assert re.search(rf"`(edgeguard )?{name}\b", README), name


@pytest.mark.parametrize("name", ["check", "batch"])
def test_every_option_is_in_the_readme_with_its_variable(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for option in command.params:
        assert isinstance(option, click.Argument) or option.opts[0] in README
        if option.envvar:
            assert f"| `{option.opts[0]}` | `{option.envvar}` |" in README


def test_every_option_of_serve_is_in_the_readme_with_its_variable() -> None:
    serve = cli.get_command(click.Context(cli), "serve")
    assert serve is not None
    for option in serve.params:
        assert isinstance(option, click.Option)
        assert f"| `{option.opts[0]}` | `{option.envvar}` |" in README


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_script_and_tool_of_the_checkout_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:scripts|benchmarks)/[\w./-]*\w)", text))
    assert {"scripts/try", "scripts/test"} <= named
    assert not {path for path in named if not (ROOT / path).exists()}


def test_no_placeholder_is_left() -> None:
    assert "@" not in README.replace("user@", "")
