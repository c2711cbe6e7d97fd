"""`edgeguard doctor`: what is installed, what llama.cpp uses, where things are, what is wrong.

This module only shows what edgeguard.diagnosis found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import click

from edgeguard.diagnosis.native import Library
from edgeguard.diagnosis.report import Diagnosis, Folder, Machine, Tried, diagnose
from edgeguard.errors import EXIT_ERROR, EXIT_OK


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on one line.")
def command(as_json: bool) -> int:
    """Say what is installed, what llama.cpp uses, where files are kept, and what is wrong.

    Exit code: 0 when a check can run, 2 when something stops it.
    """
    whole = click.get_current_context().find_root().command
    assert isinstance(whole, click.Group)
    found = diagnose(whole)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(found)))
    return EXIT_ERROR if any(problem.stops for problem in found.problems) else EXIT_OK


def _lines(found: Diagnosis) -> Iterator[str]:
    yield from _section("Installed", found.versions.items())
    yield from _section("Machine", _machine(found.machine))
    yield from _section("llama.cpp", [*_library(found.library), *_tried(found.tried)])
    yield from _section("Folders", ((f.use, _folder(f)) for f in found.folders))
    models = ((model.name, "damaged" if model.problem else "ok") for model in found.models)
    yield from _section("Models", models)
    yield from _section("Default model", [("used", found.default_model or "none")])
    yield from _section("Environment", found.environment.items())
    yield from _problems(found)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield title
    empty = True
    for name, value in rows:
        empty = False
        yield f"  {name}: {value}"
    if empty:
        yield "  nothing"
    yield ""


def _machine(machine: Machine) -> Iterator[tuple[str, str]]:
    yield "system", f"{machine.system}, {machine.processor}"
    yield "Python", machine.python
    yield "cores", f"{machine.physical_cores} physical, {machine.logical_cores} logical"
    yield "memory", "unknown" if machine.memory is None else f"{machine.memory / 1e9:.1f} GB"


def _library(library: Library | None) -> Iterator[tuple[str, str]]:
    if library is None:
        yield "library", "does not load"
        return
    yield "library", f"{library.path} (llama.cpp {library.version})"
    if library.variant:
        yield "back end", f"{library.variant}, the best for this processor of those in the build"
    yield "CPU features", ", ".join(library.cpu_features) or "none named"
    yield "accelerators", ", ".join(library.accelerators) or "none: it computes on the CPU"


def _tried(tried: Tried | None) -> Iterator[tuple[str, str]]:
    if tried is not None:
        weights = "plain weights" if tried.plain_weights else "the processor's own instructions"
        yield "tried out", f"with {tried.model} and {weights}, in {tried.seconds} s"


def _folder(folder: Folder) -> str:
    state = "" if folder.writable else ", cannot be written"
    return f"{folder.path} ({folder.free / 1e9:.1f} GB free{state})"


def _problems(found: Diagnosis) -> Iterator[str]:
    if not found.problems:
        yield "No problem was found."
        return
    yield "Problems"
    for problem in found.problems:
        yield f"  {'error' if problem.stops else 'warning'}: {problem.what}"
        yield f"    {problem.todo}"
