"""Ollama's client with what docs/hosts/ollama.md shows."""

from __future__ import annotations

import pytest
from pages import block

pytestmark = pytest.mark.host


def test_what_the_page_shows(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block("ollama", "python", ollama=url), {})
    assert capsys.readouterr().out == "Safety: Safe\nCategories: None\n"
