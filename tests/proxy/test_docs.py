"""docs/proxy.md has every option with its variable and its default, and every refusal's cure."""

from __future__ import annotations

import re

import click
import pytest
from conftest import ROOT

from edgeguard.commands.proxy import command
from edgeguard.proxy import outside
from edgeguard.proxy.requests import FORMS

PAGE = (ROOT / "docs" / "proxy.md").read_text(encoding="utf-8")
OPTIONS = [each for each in command.params if isinstance(each, click.Option)]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.opts[0])
def test_every_option(option: click.Option) -> None:
    start = re.compile(rf"\| `{option.opts[0]}[ `]")
    (row,) = [row for row in PAGE.splitlines() if start.match(row)]
    assert f"`{option.envvar}`" in row
    if isinstance(option.default, (int, str)) and not option.is_flag:
        assert str(option.default).removesuffix(".0") in row
    assert option.help


def test_no_other_option() -> None:
    known = {name for option in OPTIONS for name in option.opts}
    assert set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE)) == known


def test_every_path_and_what_may_be_allowed() -> None:
    for path in FORMS:
        assert f"`{path}`" in PAGE
    named = {name for name in outside.FIELDS if f"`{name}`" in PAGE}
    assert {"web_search_options", "previous_response_id", "mcp_servers"} <= named
