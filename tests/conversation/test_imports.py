"""Imports go one way: no module of the package imports, even for types alone, one that needs it."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import edgeguard

PACKAGE = Path(edgeguard.__file__).parent


def _modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("edgeguard", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def _imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules that a module names anywhere in it: within functions and for types too."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                named.add(inner if inner in modules else node.module)
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    return named & modules.keys()


def test_nothing_imports_in_circles_or_upwards() -> None:
    modules = _modules()
    graph = {name: _imports(path, modules) - {name, "edgeguard"} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
    for name, imported in graph.items():
        if name.startswith(("edgeguard.conversation", "edgeguard.protocol")):
            above = ("edgeguard.guard", "edgeguard.batch", "edgeguard.server", "edgeguard.commands")
            assert not [other for other in imported if other.startswith(above)], name
    assert "edgeguard.batch" not in "".join(graph["edgeguard.guard"])
