"""`edgeguard list`: the models on this machine, including the built-in ones.

A file is read completely, unless its checksum is remembered and the file is unchanged.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click

from edgeguard.console import note
from edgeguard.errors import EXIT_OK, EdgeguardError
from edgeguard.file_types import FILE_TYPE, type_name
from edgeguard.store.model_file import built_in, resolve
from edgeguard.store.registry import BUILT_INS
from edgeguard.store.soundness import identify
from edgeguard.store.store import Installed, installed


@dataclass(frozen=True)
class Row:
    """One model as the list shows it; fields that are unknown for a damaged one are None."""

    name: str
    type: str | None
    size: int | None
    sha256: str | None
    default: bool
    problem: str | None = None


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(as_json: bool) -> int:
    """List the models on this machine; * marks the one that is used when none is named."""
    default = _default()
    rows = [_installed(model, default) for model in installed()]
    rows += [_built_in(name, default) for name in BUILT_INS]
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row), ensure_ascii=False))
        return EXIT_OK
    click.echo(_table(rows))
    for row in rows:
        if row.problem is not None:
            note(row.problem)
    return EXIT_OK


def _installed(model: Installed, default: str | None) -> Row:
    try:
        model.check()
        problem = None
    except EdgeguardError as error:
        problem = str(error)
    if model.manifest is None:
        return Row(model.full_name, None, None, None, model.full_name == default, problem)
    known = model.manifest
    is_default = model.full_name == default
    return Row(model.full_name, known.type, known.size, known.sha256, is_default, problem)


def _built_in(name: str, default: str | None) -> Row:
    from edgeguard.store.metadata import read_metadata

    try:
        file = built_in(name)
        kind, size = type_name(read_metadata(file.path).get(FILE_TYPE)), file.path.stat().st_size
        return Row(name, kind, size, identify(file), default == name)
    except EdgeguardError as error:
        return Row(name, None, None, None, False, str(error))


def _default() -> str | None:
    try:
        return resolve().full_name
    except EdgeguardError:
        return None


def _table(rows: list[Row]) -> str:
    cells = [("", "NAME", "TYPE", "SIZE", "SHA256"), *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells
    )


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    size = "?" if row.size is None else f"{row.size / 1e6:,.1f} MB"
    digest = "damaged" if row.problem else (row.sha256 or "?")[:12]
    return ("*" if row.default else "", row.name, row.type or "?", size, digest)
