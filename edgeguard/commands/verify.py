"""`edgeguard verify`: read whole files and compare them with the checksums recorded for them.

An installed model's checksum is in its manifest; the built-in model's is in a file beside it, in
the form that sha256sum writes and reads.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from edgeguard.errors import EXIT_ERROR, EXIT_OK, EdgeguardError, ModelError
from edgeguard.store.checksum import compute_sha256
from edgeguard.store.model_file import built_in, not_found
from edgeguard.store.registry import BUILT_IN
from edgeguard.store.store import candidates, installed


@click.command(name="verify")
@click.argument("name", required=False)
def command(name: str | None) -> int:
    """Check the model NAME against its recorded sha256; without NAME, every model here.

    Exit code: 0 all are intact, 2 one is not.
    """
    intact = [_report(full_name, check) for full_name, check in _checks(name)]
    return EXIT_OK if all(intact) else EXIT_ERROR


def _checks(name: str | None) -> list[tuple[str, Callable[[], None]]]:
    if name == BUILT_IN:
        return [(BUILT_IN, _verify_built_in)]
    if name is None:
        found = [(model.full_name, model.verify) for model in installed()]
        return [*found, (BUILT_IN, _verify_built_in)]
    models = candidates(name)
    if not models:
        raise not_found(name)
    return [(model.full_name, model.verify) for model in models]


def _report(full_name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except EdgeguardError as error:
        click.echo(f"{full_name}: FAILED: {error}")
        return False
    click.echo(f"{full_name}: OK")
    return True


def _verify_built_in() -> None:
    path = built_in().path
    record = path.with_name(f"{path.name}.sha256")
    try:
        recorded = record.read_text(encoding="ascii").split()
    except (OSError, ValueError) as error:
        raise ModelError(f"{record} cannot be read; install edgeguard again") from error
    if recorded[:1] != [compute_sha256(path)]:
        raise ModelError(f"{path} is not what was released; install edgeguard again")
