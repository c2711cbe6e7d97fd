"""`edgeguard rm`: removes an installed model, after asking.

This module decides whether to remove; edgeguard.store.store removes.
"""

from __future__ import annotations

import sys

import click

from edgeguard.console import note
from edgeguard.errors import EXIT_ERROR, EXIT_OK, InputError, ModelNotFoundError
from edgeguard.store.model_file import not_found
from edgeguard.store.registry import BUILT_INS
from edgeguard.store.store import Installed, candidates, remove


@click.command(name="rm")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(name: str, yes: bool) -> int:
    """Remove the installed model NAME. The checkpoint in the Hugging Face cache stays."""
    model = _one(name)
    if not yes and not _agreed(model):
        note(f"{model.full_name} is kept")
        return EXIT_ERROR
    remove(model.full_name)
    note(f"{model.full_name} is removed")
    return EXIT_OK


def _one(name: str) -> Installed:
    if name in BUILT_INS:
        raise InputError(f"{name} is part of edgeguard and cannot be removed")
    found = candidates(name)
    if not found:
        raise not_found(name)
    if len(found) > 1:
        names = ", ".join(model.full_name for model in found)
        raise ModelNotFoundError(f"{name} is installed in several types; name one: {names}")
    return found[0]


def _agreed(model: Installed) -> bool:
    if not sys.stdin.isatty():
        raise InputError(
            f"rm asks before it removes, and there is no terminal to ask on; edgeguard rm --yes "
            f"{model.full_name}"
        )
    size = f" ({model.manifest.size / 1e6:,.0f} MB)" if model.manifest else ""
    return click.confirm(f"Remove {model.full_name}{size}?", err=True)
