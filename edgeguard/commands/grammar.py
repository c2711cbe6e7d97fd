"""`edgeguard grammar`: the answer language as GBNF, for llama-server and similar programs."""

from __future__ import annotations

from typing import cast

import click

from edgeguard.protocol.grammar import gbnf
from edgeguard.protocol.names import MODES, Mode


@click.command(name="grammar")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=MODES[0],
    show_default=True,
    help="What is judged; a response's answer has a third line.",
)
def command(mode: str) -> None:
    """Print the answer language as a GBNF grammar."""
    click.echo(gbnf(cast(Mode, mode)), nl=False)
