"""`edgeguard pull`: the official weights from the Hugging Face hub, converted and tested here.

This module shows the progress; edgeguard.pulling does the work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edgeguard.console import Progress, note, progress_bar
from edgeguard.errors import EXIT_OK
from edgeguard.store.registry import DEFAULT_MODEL, DEFAULT_TYPE


@click.command(name="pull")
@click.argument("name", default=DEFAULT_MODEL)
@click.option(
    "--type",
    "kind",
    default=DEFAULT_TYPE,
    show_default=True,
    help="Quantization type, the same as of edgeguard convert.",
)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Copy the model into a folder as well, for an installer to take along.",
)
def command(name: str, kind: str, folder: Path | None) -> int:
    """Fetch the official weights and convert them here.

    NAME is gen-0.6b (1.5 GB) by default; there are also gen-4b, gen-8b, and for texts that are
    judged while they are written stream-0.6b (1.2 GB), stream-4b and stream-8b.

    An interrupted download continues where it stopped. HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and
    HF_TOKEN have the same meaning as for huggingface_hub. Prints the path of the model's file.
    """
    from edgeguard.pulling import carry, pull

    try:
        pulled = pull(name, type=kind, stage=_stage)
    except KeyboardInterrupt:
        note("what was fetched is kept: edgeguard pull goes on from there")
        raise
    model = pulled.model
    if not pulled.is_new:
        note(f"{model.full_name} is installed already, and intact")
    else:
        note(f"{model.full_name} is installed and judged its test texts as it must")
        note(f"what it was made of may be removed: {pulled.checkpoint}")
    if folder is not None:
        model = carry(name, folder, type=kind)
        note(f"a program judges with it by --model {model.path.parent}, wherever that is copied")
    click.echo(model.path)
    return EXIT_OK


@contextmanager
def _stage(label: str) -> Iterator[Progress]:
    """A bar on a terminal, a line elsewhere, so that a log shows what takes so long."""
    if not sys.stderr.isatty():
        note(label)
    with progress_bar(label) as progress:
        yield progress
