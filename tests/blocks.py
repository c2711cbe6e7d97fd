"""The code blocks of the pages, and how they are tried.

A block says in its first line what it is:

    ```python                       runs, in a namespace of its own
    ```console                      `$ ` begins a command; what follows is what it prints, where `…`
                                    stands for anything, and for any lines where it stands alone
    ```toml title="rules.toml"      becomes that file, for the blocks after it
    ```json, ```toml                can be parsed
    ```text, ``` without a word     is not code
    … no-run: a reason              is not run, and the reason says why

The blocks of a page run in their order and in one folder. Addresses of a server are replaced by a
running one's; commands that are edgeguard alone run in this process, which saves the seconds that
loading it takes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROSE = ("", "text")
_FENCE = re.compile(r"^([ >]*)```+([^`\n]*)\n(.*?)^\1```+[ ]*$", re.MULTILINE | re.DOTALL)
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: str
    line: int
    language: str
    title: str | None
    not_run: str | None
    """The reason, where it is not run."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path, name: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    page = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(page):
        lead, info, text = found.groups()
        asked, _, reason = info.partition("no-run:")
        title = re.search(r'title="([^"]*)"', asked)
        line = page.count("\n", 0, found.start()) + 1
        yield Block(
            name,
            line,
            asked.split()[0] if asked.split() else "",
            title[1] if title else None,
            reason.strip() if "no-run:" in info else None,
            re.sub(rf"^{re.escape(lead)}", "", text, flags=re.MULTILINE),
        )


@dataclass(frozen=True)
class Step:
    """A command of a console, and what the page says that it prints."""

    command: str
    output: str


def steps(block: Block) -> list[Step]:
    """The commands of a console; a line that ends in a backslash goes on."""
    found: list[list[str]] = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        else:
            assert found, f"{block}: output before the first command"
            found[-1][0 if goes_on else 1] += f"\n{line}" if goes_on else f"{line}\n"
        goes_on = line.endswith("\\") and (goes_on or line.startswith("$ "))
    return [Step(command, output) for command, output in found]


def differs(shown: str, printed: str) -> str | None:
    """How what was printed differs from what a page shows; None if it does not.

    Times and rates are any; other numbers with a point may differ as another processor rounds.
    """
    if not shown:
        return None
    pattern, expected = _pattern(shown)
    found = re.fullmatch(pattern, printed.rstrip("\n") + "\n")
    if found is None:
        return f"the page shows\n{shown}\nand it prints\n{printed}"
    for wanted, got in zip(expected, found.groups(), strict=True):
        if not _near(wanted, got):
            return f"the page shows {wanted}, and it prints {got}, in\n{printed}"
    return None


def _pattern(shown: str) -> tuple[str, list[str]]:
    numbers: list[str] = []
    lines = []
    for line in shown.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        parts = re.split(rf"({_NUMBER} (?:s\b|rows/s|tokens a second)|{_NUMBER}|…)", line)
        regex = ""
        for place, part in enumerate(parts):
            if place % 2 == 0:
                regex += re.escape(part)
            elif part == "…":
                regex += ".*"
            elif " " in part:
                regex += _NUMBER + re.escape(part[part.index(" ") :])
            else:
                numbers.append(part)
                regex += f"({_NUMBER})"
        lines.append(regex + r"\n")
    return "".join(lines), numbers


def _near(wanted: str, got: str) -> bool:
    if "." not in wanted:
        return wanted == got
    one, other = float(wanted.replace(",", "")), float(got.replace(",", ""))
    return abs(one - other) <= (0.5 if one > 1 else 0.01)


def parses(block: Block) -> None:
    """Raise where a file in a block is none."""
    readers: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads}
    if block.language in readers:
        readers[block.language](block.text)
