"""The phrase lists that the built-in model is trained on are consistent.

A slot without a list would stop a training run after minutes; a line under two labels would teach
the model that neither holds.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from conftest import ROOT

from edgeguard.protocol.names import CATEGORIES

FOLDER = ROOT / "models" / "nano" / "training" / "phrases"
FILES = sorted(FOLDER.glob("*.txt"))
SLOT = re.compile(r"\{(\w+)\}")
BOUND = {"vp", "n", "n2", "topic", "thing2", "thing", "task"}
"""What the program itself puts into a slot."""


def sections(file: Path) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = out.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            current.append(line)
    return out


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestLists:
    def test_every_slot_has_a_list(self, file: Path) -> None:
        lists = sections(file)
        slots = {slot for lines in lists.values() for line in lines for slot in SLOT.findall(line)}
        known = set(lists) | {f"{name}2" for name in lists} | BOUND
        known |= {name.capitalize() for name in lists}
        assert slots <= known

    def test_no_list_is_empty(self, file: Path) -> None:
        assert all(sections(file).values())

    def test_a_name_with_a_capital_is_a_category(self, file: Path) -> None:
        names = {name for name in sections(file) if name[0].isupper()}
        assert names <= {*CATEGORIES, "Safe"}


def test_there_are_lists() -> None:
    assert len(FILES) >= 10


def test_no_line_is_both_harmful_and_harmless() -> None:
    harmful, harmless = set(), set()
    for file in FILES:
        for name, lines in sections(file).items():
            paired = file.stem.startswith("pairs")
            if file.stem == "quiet" and name in CATEGORIES:
                harmful |= {line.split(" | ")[1].lower() for line in lines}
                harmless |= {line.split(" | ")[2].lower() for line in lines}
            elif name in CATEGORIES:
                harmful |= {line.split(" | ")[0].lower() for line in lines}
                harmless |= {line.split(" | ")[1].lower() for line in lines if paired}
            elif name in ("Safe", "edge", "ask", "sounds_bad"):
                harmless |= {line.lower() for line in lines}
    assert harmful and harmless
    assert not harmful & harmless


def test_what_is_kept_out_of_training_stands_in_no_list() -> None:
    text = "\n".join(file.read_text(encoding="utf-8").lower() for file in FILES)
    kept = (FOLDER.parent / "kept.txt").read_text(encoding="utf-8").splitlines()
    parts = [part for line in kept if not line.startswith("#") for part in line.split(" | ")]
    assert len(parts) >= 100 and all(len(line.split(" | ")) == 4 for line in kept[1:])
    assert not [part for part in parts if len(part) > 30 and part.lower() in text]


def test_rows_of_packages_have_categories_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    packages = importlib.import_module("packages")
    assert set(packages.PYRIT.values()) <= set(CATEGORIES)
    for name in packages.QUESTIONS:
        assert f"benign_{name}" not in packages.SHARE, "drawn by one share or by the other"
