"""Docstrings of functions as pages show them: each argument that is described becomes an item.

Our docstrings describe an argument in a paragraph that begins with its name and a colon, and what
is raised in one that begins with `Raises`. This is the extension of griffe that mkdocstrings loads.
"""

from __future__ import annotations

import re
from typing import Any

import griffe


class Arguments(griffe.Extension):  # type: ignore[misc, unused-ignore]
    """Puts a list where a docstring describes arguments."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Rewrite the docstring of a function or a method."""
        if func.docstring is not None:
            names = [parameter.name for parameter in func.parameters]
            func.docstring.value = listed(func.docstring.value, names)


def listed(text: str, names: list[str]) -> str:
    """The text with an item for each of the arguments, and `Raises` in a paragraph of its own."""
    lines: list[str] = []
    inside = False
    for line in text.replace("``", "`").splitlines():
        found = re.match(r"(\w+): ", line)
        starts = found is not None and found[1] in names
        if starts or line.startswith("Raises "):
            if not inside or not starts:
                lines.append("")
            inside = starts
            line = f"- `{line.partition(':')[0]}`:{line.partition(':')[2]}" if starts else line
        elif not line.strip():
            inside = False
        elif inside:
            line = f"  {line}"
        lines.append(line)
    return "\n".join(lines)
