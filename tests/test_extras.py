"""Optional packages: what pyproject.toml names, and what to type where one is missing."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from conftest import ROOT

from edgeguard import MissingExtraError, extras
from edgeguard.extras import require


class Installed:
    """A distribution as importlib.metadata gives it, with what pip recorded of its origin."""

    def __init__(self, origin: str | None) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.origin


def test_the_packages_are_those_of_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra, modules in extras._MODULES.items():
        (named,) = re.findall(rf"^{extra} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert set(re.findall(r'"([\w-]+)>=', named)) == set(modules.values())


def test_what_is_there_says_nothing() -> None:
    require("server", "this")


@pytest.mark.parametrize(
    ("origin", "typed"),
    [
        (None, 'pip install "edgeguard[server]"'),
        ('{"url": "file:///x.whl", "archive_info": {}}', 'pip install "edgeguard[server]"'),
        ('{"url": "file:///x", "dir_info": {}}', 'pip install ".[server]" in the folder'),
    ],
)
def test_it_says_what_fits_the_installation(
    monkeypatch: pytest.MonkeyPatch, origin: str | None, typed: str
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Installed(origin))
    with pytest.raises(MissingExtraError, match=re.escape(typed)):
        require("server", "this")


def test_a_source_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> Installed:
        raise PackageNotFoundError

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(MissingExtraError, match=r"\.\[server\]"):
        require("server", "this")
