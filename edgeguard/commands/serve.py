"""`edgeguard serve`: verdicts over HTTP, in OpenAI's forms and our own.

Reads the options and starts edgeguard.server. This module holds no logic of moderation.
"""

from __future__ import annotations

import click

from edgeguard.commands.options import Running, guard_options
from edgeguard.errors import EXIT_OK
from edgeguard.extras import require
from edgeguard.guard import Guard
from edgeguard.server.settings import HOST, MAX_BODY, PORT, QUEUE, Settings


@click.command(name="serve")
@guard_options
@click.option(
    "--host",
    envvar="EDGEGUARD_HOST",
    default=HOST,
    show_default=True,
    help="The address to listen on; any but this machine's own needs a key.",
)
@click.option(
    "--port",
    envvar="EDGEGUARD_PORT",
    type=int,
    default=PORT,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--api-key",
    envvar="EDGEGUARD_API_KEY",
    metavar="KEY",
    help="Asked of clients as Bearer token. Others on this machine can read a command line: "
    "prefer the variable.",
)
@click.option(
    "--without-key",
    envvar="EDGEGUARD_WITHOUT_KEY",
    is_flag=True,
    help="Serve other machines although there is no key.",
)
@click.option(
    "--queue",
    envvar="EDGEGUARD_QUEUE",
    type=int,
    default=QUEUE,
    show_default=True,
    help="Requests that may wait; the next one gets 503.",
)
@click.option(
    "--max-body",
    envvar="EDGEGUARD_MAX_BODY",
    type=int,
    default=MAX_BODY,
    show_default=True,
    help="Bytes of a request; more gets 413.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    envvar="EDGEGUARD_CORS_ORIGINS",
    metavar="ORIGIN",
    multiple=True,
    help="A web origin whose pages may ask; can be given several times. The variable holds them "
    "with spaces between.",
)
def command(
    model: str | None,
    policy: str,
    running: Running,
    host: str,
    port: int,
    api_key: str | None,
    without_key: bool,
    queue: int,
    max_body: int,
    cors_origins: tuple[str, ...],
) -> int:
    """Serve verdicts over HTTP until Ctrl-C.

    /v1/chat/completions and /v1/moderations as OpenAI's clients know them, /v1/guard for the native
    verdict, and a page at / to try it on.
    """
    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        without_key=without_key,
        queue=queue,
        max_body=max_body,
        cors_origins=cors_origins,
    )

    def load() -> Guard:
        return Guard(model, policy=policy, **running)

    require("server", "the server")
    from edgeguard.server.run import serve

    serve(settings, load)
    return EXIT_OK
