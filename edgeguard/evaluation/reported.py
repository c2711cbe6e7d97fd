"""The figures of the Qwen3Guard Technical Report for Qwen3Guard-Gen-0.6B, set by set.

They are in reported.json beside this module, in percent as printed there. A set is found by its
name, mode and language; whether a public copy has the rows and labels that the report measured on
cannot be known.

This module compares nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgeguard.protocol.names import Mode

_FILLERS = re.compile(r"(en|zh|prompts?|responses?|test|dataset)")


@dataclass(frozen=True)
class Reported:
    """F1 from 0 to 1 under strict and loose, its table in the report, and any differences."""

    set: str
    table: str
    strict: float
    loose: float
    note: str


def reported(name: str, modes: Set[Mode], languages: Set[str]) -> Reported | None:
    """The report's figures for a set of that name, if all of it has one mode and one language."""
    if len(modes) != 1 or len(languages) != 1:
        return None
    (mode,), (language,) = modes, languages
    plain = _plain(name)
    for row in _rows():
        if row["mode"] == mode and row["lang"] == language and plain in row["names"]:
            return Reported(
                set=row["set"],
                table=row["table"],
                strict=row["strict"] / 100,
                loose=row["loose"] / 100,
                note=row.get("note", ""),
            )
    return None


def source() -> str:
    """The document that the figures are from."""
    return str(_content()["source"])


def _plain(name: str) -> str:
    """A set's name without what tells its copies apart: harmbench_prompts is harmbench."""
    words = re.split(r"[^a-z0-9.]+", name.lower())
    return "".join(word for word in words if not _FILLERS.fullmatch(word)).replace(".", "")


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _content()["rows"]
    return rows


@lru_cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (Path(__file__).parent / "reported.json").read_text(encoding="utf-8")
    )
    return content
