"""The generated pages by their names in docs/reference."""

from __future__ import annotations

from collections.abc import Callable

from generate import commands, errors, http, variables, verdict

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands.page,
    "errors.md": errors.page,
    "http.md": http.page,
    "variables.md": variables.page,
    "verdict.md": verdict.page,
}
