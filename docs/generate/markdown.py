"""What the generated pages share: escaping, tables, links to headings.

This module knows nothing of what the pages are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `bash scripts/reference`: change the code, not this page. -->\n"


def escaped(text: str) -> str:
    """Plain text, so that nothing in it is read as markup."""
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)


def code(text: str) -> str:
    """A piece of code in a line or a cell."""
    return f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped, also within code."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [re.sub(r"(?<!\\)\|", r"\\|", " ".join(cell.split())) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def anchor(heading: str) -> str:
    """The anchor of a heading, as MkDocs and GitHub make it of plain words."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
