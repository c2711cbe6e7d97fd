"""What MkDocs does with our pages, beyond its own.

Pages link to files of the repository that are no pages of docs/, as they must on a forge. Those in
`ALSO` become pages of the site; a link to any other file becomes its path, as there is nothing on
the site that it could lead to. A link to what does not exist is an error either way.

The reasons why a block is not run (`no-run:`) are for the tests, and are taken out.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ALSO = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "models/nano/README.md": "nano.md",
    "tests/attacks/README.md": "attacks.md",
    **{
        path.relative_to(ROOT).as_posix(): f"figures/{path.name}"
        for path in sorted((ROOT / "benchmarks" / "results").iterdir())
        if path.suffix in (".md", ".svg", ".png")
    },
}
"""Files outside docs/ that are on the site, and where."""

_HOSTS = "In other programs"
_log = logging.getLogger("mkdocs.hooks")
_FENCE = re.compile(r"^([ >]*```+[^`\n]*?)[ ]*no-run:[^\n]*$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_CODE = re.compile(r"(^([ >]*)```.*?^\2```+|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Complete the navigation: a page that it does not name stands at the end of its part."""
    figures = [to for to in ALSO.values() if to.startswith("figures/") and to.endswith(".md")]
    named = str(config.nav)
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    new = [page for page in sorted(pages) if f"'{page}'" not in named]
    part = {name: pages for each in config.nav for name, pages in each.items()}
    hosts = next(each[_HOSTS] for each in part["Guides"] if _HOSTS in each)
    part["Figures"] += figures
    hosts += [page for page in new if page.startswith("hosts/")]
    part["Guides"] += [page for page in new if "/" not in page]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie outside docs/."""
    from mkdocs.structure.files import File

    for source, target in ALSO.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make the links of a page those of the site."""
    where = page.file.src_uri
    source = next((path for path, target in ALSO.items() if target == where), f"docs/{where}")
    markdown = _FENCE.sub(r"\1", markdown)
    parts = _CODE.split(markdown)
    # The split has text, code, and the code's lead in turns.
    return "".join(
        _linked(part, source, where) if place % 3 == 0 else part
        for place, part in enumerate(parts)
        if place % 3 != 2
    )


def _linked(text: str, source: str, where: str) -> str:
    return _LINK.sub(lambda found: _link(found, source, where), text)


def _link(found: re.Match[str], source: str, where: str) -> str:
    picture, words, address = found.groups()
    words = _linked(words, source, where)
    path, hash_, anchor = address.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return f"{picture}[{words}]({address})"
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / target).exists():
        _log.warning("%s links to %s, which does not exist", source, target)
    if target in ALSO:
        target = ALSO[target]
    elif target.startswith("docs/") and (ROOT / target).is_file():
        target = target.removeprefix("docs/")
    else:
        return words if words.startswith("`") else f"{words} (`{target}`)"
    to = posixpath.relpath(target, posixpath.dirname(where) or ".")
    return f"{picture}[{words}]({to}{hash_}{anchor})"
