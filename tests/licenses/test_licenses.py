"""Everything that edgeguard needs is listed with its licence's text."""

from __future__ import annotations

from importlib import metadata

import pytest
from command_line import CommandLine
from packaging.requirements import Requirement

from edgeguard.licenses import licenses


def test_every_part_has_its_text() -> None:
    parts = {part.name: part for part in licenses()}
    needed = {Requirement(line) for line in metadata.requires("edgeguard") or []}
    names = {n.name for n in needed if n.marker is None or n.marker.evaluate({"extra": ""})}
    assert names | {"edgeguard", "llama.cpp", "markupsafe", "Python"} <= parts.keys()
    assert "pytest" not in parts
    for part in parts.values():
        assert part.license and "\n" not in part.license, part.name
        assert part.texts or part.name == "Python", part.name
    assert "The ggml authors" in parts["llama.cpp"].texts[0]
    assert any("Qwen3Guard-Gen" in text for text in parts["edgeguard"].texts)  # NOTICE


def test_the_command_prints_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CommandLine(capsys, monkeypatch)("licenses")
    assert done.code == 0 and not done.err
    assert "Andrei Betlen" in done.out and "NumPy Developers" in done.out
