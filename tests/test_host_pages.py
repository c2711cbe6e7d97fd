"""The pages of hosts have one outline, and the list has them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "hosts"
HOSTS = Path(__file__).parent / "adapters"
PAGES = sorted(each.stem for each in FOLDER.glob("*.md") if each.stem != "README")
OUTLINE = [
    "What you get",
    "Install",
    "Configure",
    "When something is blocked",
    "When edgeguard is down",
    "What is not covered",
    "Versions tested",
]


def text_of(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_outline(page: str) -> None:
    assert re.findall(r"^## (.+)$", text_of(page), re.M) == OUTLINE


def test_the_list_has_every_page() -> None:
    assert sorted(re.findall(r"\]\(([\w-]+)\.md\)", text_of("README"))) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_the_versions_are_those_of_the_tests(page: str) -> None:
    """What the adapters' tests install stands in the page of that host."""
    name = page.replace("-", "_").removeprefix("openai_")
    versions = HOSTS / f"in_{name}" / "requirements.txt"
    if not versions.exists():
        return
    for wanted in re.findall(r"==(\S+)", versions.read_text("utf-8")):
        assert wanted in text_of(page) or page in ("open-webui", "portkey")
