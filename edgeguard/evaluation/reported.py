"""What the Qwen3Guard Technical Report says of Qwen3Guard-Gen-0.6B, set by set.

The figures lie in reported.json beside this module, in percent as printed there. A set is found
by its name, its mode and its language; that the rows and labels of a public copy are those that
the report measured on, nobody can promise.

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
    """F1 from 0 to 1 under strict and loose, the table it stands in, and what differs."""

    set: str
    table: str
    strict: float
    loose: float
    note: str


def reported(name: str, modes: Set[Mode], languages: Set[str]) -> Reported | None:
    """The report's figures of a set of that name, if it is of one mode and one language."""
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
    """Which document the figures are from."""
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
