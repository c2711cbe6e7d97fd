"""The generated pages are what the code says now, and leave out nothing."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT
from generate.options import commands
from generate.pages import PAGES

import edgeguard

REFERENCE = ROOT / "docs" / "reference"
NOT_FOR_USERS = {
    "EDGEGUARD_CHILD_MODULE",  # a parent tells its child
}


@pytest.mark.parametrize("name", PAGES)
def test_what_is_committed_is_what_is_generated(name: str) -> None:
    committed = (REFERENCE / name).read_text(encoding="utf-8")
    assert committed == PAGES[name](), "type `bash scripts/reference`"


def test_every_option_says_what_it_does() -> None:
    for command in commands():
        assert command.paragraphs, command.name
        for option in command.options:
            assert option.help, f"{command.name} {option.names}"


def test_every_option_of_a_command_with_a_guard_has_a_variable() -> None:
    of = {command.name: command for command in commands()}
    for name in ("check", "watch", "serve", "proxy"):
        for option in of[f"edgeguard {name}"].options:
            if option.names[-1].split()[0] not in INPUTS:
                assert option.variable, f"{name} {option.names}"


INPUTS = {"--response", "--messages", "--json", "--prompt", "--show"}
"""What is asked for in one call, and set by no variable."""


def test_every_variable_in_the_source_is_on_its_page() -> None:
    page = (REFERENCE / "variables.md").read_text(encoding="utf-8")
    found = {
        name
        for path in (ROOT / "edgeguard").rglob("*.py")
        for name in re.findall(r"EDGEGUARD_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert len(found) > 30
    assert {name for name in found - NOT_FOR_USERS if f"`{name}`" not in page} == set()


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    pages = "".join((REFERENCE / name).read_text("utf-8") for name in ("api.md", "errors.md"))
    for name in edgeguard.__all__:
        assert re.search(rf"::: edgeguard\.{name}$|^\| `{name}` \|", pages, re.M) or name[0] == "_"


def test_arguments_become_a_list() -> None:
    pytest.importorskip("griffe", reason="needs mkdocstrings: pip install --group docs")
    from generate.arguments import listed

    text = "Judge it.\n\ntext: what\nis judged.\ncancel: ends it.\n\nnote: no argument.\nRaises X."
    assert listed(text, ["text", "cancel"]).splitlines() == [
        *("Judge it.", "", "", "- `text`: what", "  is judged.", "- `cancel`: ends it."),
        *("", "note: no argument.", "", "Raises X."),
    ]
