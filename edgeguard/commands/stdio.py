"""`edgeguard stdio`: JSON-RPC on stdin and stdout, for programs in other languages.

Reads the options and starts edgeguard.stdio. This module holds no logic of moderation.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from edgeguard.cancellation import Cancellation
from edgeguard.commands.options import Running, guard_options
from edgeguard.errors import EXIT_OK
from edgeguard.guard import Guard


@click.command(name="stdio")
@guard_options
@click.option(
    "--idle-unload",
    envvar="EDGEGUARD_IDLE_UNLOAD",
    type=float,
    metavar="SECONDS",
    help="Give the model's memory back after so long without a call.  [default: never]",
)
@click.option(
    "--parent",
    envvar="EDGEGUARD_PARENT",
    type=int,
    metavar="PID",
    help="The process to end with.  [default: the one that started this]",
)
def command(
    model: str | None,
    policy: str,
    running: Running,
    idle_unload: float | None,
    parent: int | None,
) -> int:
    """Answer JSON-RPC 2.0 requests, one object a line, until stdin ends or the parent does.

    docs/stdio.md describes the methods; the model is loaded by the first, `initialize`.
    """
    from edgeguard.stdio.run import serve

    def load(cancel: Cancellation, on_progress: Callable[[float], None]) -> Guard:
        return Guard(
            model,
            policy=policy,
            idle_unload=idle_unload,
            on_progress=on_progress,
            cancel=cancel,
            **running,
        )

    serve(load, parent)
    return EXIT_OK
