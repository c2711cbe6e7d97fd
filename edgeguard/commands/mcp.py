"""`edgeguard mcp`: a tool that judges texts, for clients of the Model Context Protocol.

Reads the options and starts edgeguard.adapters.mcp. This module holds no logic of moderation.
"""

from __future__ import annotations

import click

from edgeguard.async_guard import AsyncGuard
from edgeguard.commands.options import Running, guard_options
from edgeguard.errors import EXIT_OK
from edgeguard.extras import require


@click.command(name="mcp")
@guard_options
def command(model: str | None, policy: str, running: Running) -> int:
    """Serve a tool, check, over stdin and stdout until they are closed.

    For coding agents and desktop programs: give them the command `edgeguard mcp`.
    """
    require("mcp", "the server of the Model Context Protocol")
    from edgeguard.adapters.mcp import make_server

    make_server(AsyncGuard(model, policy=policy, **running)).run()
    return EXIT_OK
