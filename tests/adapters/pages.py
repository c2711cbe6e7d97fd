"""The code that the pages of docs/hosts show, so that the tests run just that."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "hosts"


def text_of(page: str) -> str:
    """A page as it stands."""
    return (FOLDER / f"{page}.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code in a language that a page has, in their order."""
    text = text_of(page)
    return [each[1] for each in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)]


def block(page: str, language: str, place: int = 0, **replaced: str) -> str:
    """One of them, with addresses that stand in it replaced: `http://127.0.0.1:8000` by a URL."""
    found = blocks(page, language)[place]
    for old, new in replaced.items():
        address = {
            "server": "http://127.0.0.1:8000",
            "proxy": "http://127.0.0.1:8001",
            "ollama": "http://127.0.0.1:11434",
        }[old]
        assert address in found
        found = found.replace(address, new)
    return found
