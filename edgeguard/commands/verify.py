"""`edgeguard verify`: reads whole files and compares them with their recorded checksums.

An installed model's checksum is in its manifest, the built-in model's in a file beside it, and a
file made by edgeguard contains one. This module reads none of them itself.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from edgeguard.errors import EXIT_ERROR, EXIT_OK, EdgeguardError
from edgeguard.store.model_file import resolve
from edgeguard.store.registry import BUILT_INS
from edgeguard.store.soundness import verify_built_in, verify_file
from edgeguard.store.store import candidates, installed


@click.command(name="verify")
@click.argument("name", required=False)
def command(name: str | None) -> int:
    """Check the model NAME, or the file of that path; without NAME, every model here.

    A file made by edgeguard is compared with the digest in it; any other file is searched for
    damage. Exit code: 0 all are intact, 2 one is not.
    """
    intact = [_report(full_name, check) for full_name, check in _checks(name)]
    return EXIT_OK if all(intact) else EXIT_ERROR


def _checks(name: str | None) -> list[tuple[str, Callable[[], str | None]]]:
    if name is None:
        found = [(model.full_name, model.verify) for model in installed()]
        return [*found, *map(_built_in, BUILT_INS)]
    if name in BUILT_INS:
        return [_built_in(name)]
    models = candidates(name)
    if not models:
        path = resolve(name).path
        return [(name, lambda: verify_file(path))]
    return [(model.full_name, model.verify) for model in models]


def _built_in(name: str) -> tuple[str, Callable[[], None]]:
    return name, lambda: verify_built_in(name)


def _report(full_name: str, check: Callable[[], str | None]) -> bool:
    try:
        remark = check()
    except EdgeguardError as error:
        click.echo(f"{full_name}: FAILED: {error}")
        return False
    click.echo(f"{full_name}: OK" + (f" ({remark})" if remark else ""))
    return True
