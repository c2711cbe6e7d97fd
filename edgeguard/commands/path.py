"""`edgeguard path`: the path of a model's file, for other programs and for backups.

This module does not look into the file; edgeguard show does.
"""

from __future__ import annotations

import click

from edgeguard.errors import EXIT_OK
from edgeguard.store.model_file import resolve
from edgeguard.store.paths import models_folder


@click.command(name="path")
@click.argument("name", required=False)
def command(name: str | None) -> int:
    """Print the path of the model NAME's file; without NAME, of the folder of models."""
    click.echo(models_folder() if name is None else resolve(name).path)
    return EXIT_OK
