"""`edgeguard proxy`: an endpoint in front of any model, which shows nothing before it is judged.

    edgeguard proxy --upstream http://127.0.0.1:11434/v1

Reads the options and starts edgeguard.proxy. This module holds no logic of moderation.
"""

from __future__ import annotations

import os

import click

from edgeguard.cancellation import Cancellation
from edgeguard.commands.listening import KEY, check_key, listening_options
from edgeguard.commands.options import Running, above_zero, guard_options, in_a_row_option
from edgeguard.errors import EXIT_OK
from edgeguard.extras import require
from edgeguard.guard import Guard
from edgeguard.proxy import settings as defaults
from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.settings import HOST, QUEUE, Settings
from edgeguard.store import find_policy
from edgeguard.watch import INTERVAL

_UPSTREAM_KEY = "EDGEGUARD_UPSTREAM_KEY"


@click.command(name="proxy")
@guard_options
@click.option(
    "--upstream",
    envvar="EDGEGUARD_UPSTREAM",
    required=True,
    metavar="URL",
    help="The endpoint behind, as in http://127.0.0.1:11434/v1. Its key is read from "
    f"{_UPSTREAM_KEY} alone.",
)
@click.option(
    "--prompt",
    envvar="EDGEGUARD_PROMPT",
    type=click.Choice(defaults.PROMPTS),
    default=defaults.PROMPTS[0],
    show_default=True,
    help="Ask the upstream while the prompt is judged, or only after it has passed.",
)
@click.option(
    "--block",
    envvar="EDGEGUARD_BLOCK",
    type=click.Choice(defaults.BLOCKS),
    default=defaults.BLOCKS[0],
    show_default=True,
    help="What a client gets for what is blocked: a short text and content_filter, or an error.",
)
@click.option(
    "--refusal",
    envvar="EDGEGUARD_REFUSAL",
    default=defaults.REFUSAL,
    metavar="TEXT",
    help="That text.",
)
@click.option(
    "--observe",
    envvar="EDGEGUARD_OBSERVE",
    is_flag=True,
    help="Let everything through; count and mark what would have been blocked.",
)
@click.option(
    "--fail-open",
    envvar="EDGEGUARD_FAIL_OPEN",
    is_flag=True,
    help="Let through what the guard could not judge; else it is refused.",
)
@click.option(
    "--skip-media",
    envvar="EDGEGUARD_SKIP_MEDIA",
    is_flag=True,
    help="Let pictures, sounds and files pass unjudged; else they are refused.",
)
@click.option(
    "--interval",
    envvar="EDGEGUARD_INTERVAL",
    type=int,
    default=INTERVAL,
    show_default=True,
    help="Characters of an answer between two checks, at least.",
)
@in_a_row_option
@click.option(
    "--allow",
    envvar="EDGEGUARD_ALLOW",
    multiple=True,
    metavar="PATH|NAME",
    help="What may pass unjudged, as the refusal names it: a path with what lies below it, as "
    "/v1/files, or a field or tool, as previous_response_id or web_search. Can be given several "
    "times; the variable holds them with spaces between.",
)
@click.option(
    "--upstream-timeout",
    envvar="EDGEGUARD_UPSTREAM_TIMEOUT",
    type=float,
    default=defaults.UPSTREAM_TIMEOUT,
    show_default=True,
    callback=above_zero,
    help="Seconds that the upstream may be silent.",
)
@click.option(
    "--timeout",
    envvar="EDGEGUARD_TIMEOUT",
    type=float,
    default=defaults.JUDGE_TIMEOUT,
    show_default=True,
    callback=above_zero,
    help="Seconds that one check may take; then it has failed.",
)
@click.option(
    "--audit-log",
    envvar="EDGEGUARD_AUDIT_LOG",
    metavar="FILE",
    help="A JSON line for each verdict, without texts; the file is rotated. Each proxy needs a "
    "file of its own.",
)
@click.option(
    "--host",
    envvar="EDGEGUARD_HOST",
    default=HOST,
    show_default=True,
    help="The address to listen on; 127.0.0.1 is reached from this machine alone.",
)
@click.option(
    "--port",
    envvar="EDGEGUARD_PORT",
    type=int,
    default=defaults.PORT,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--api-key",
    envvar=KEY,
    metavar="KEY",
    help="Asked of clients. Without it, and without a key for the upstream, the clients' own key "
    "goes to the upstream.",
)
@click.option(
    "--queue",
    envvar="EDGEGUARD_QUEUE",
    type=int,
    default=QUEUE,
    show_default=True,
    help="Checks that may wait for the model; twice as many requests are taken.",
)
@click.option(
    "--max-body",
    envvar="EDGEGUARD_MAX_BODY",
    type=int,
    default=defaults.MAX_BODY,
    show_default=True,
    help="Bytes of a request; more gets 413.",
)
@listening_options
def command(
    model: str | None,
    policy: str,
    running: Running,
    upstream: str,
    prompt: str,
    block: str,
    refusal: str,
    observe: bool,
    fail_open: bool,
    skip_media: bool,
    interval: int,
    in_a_row: int,
    allow: tuple[str, ...],
    upstream_timeout: float,
    timeout: float,
    audit_log: str | None,
    host: str,
    port: int,
    api_key: str | None,
    without_key: bool,
    allowed_hosts: tuple[str, ...],
    cors_origins: tuple[str, ...],
    queue: int,
    max_body: int,
    log_format: str,
) -> int:
    """Serve any model's API, with everything judged, until Ctrl-C.

    Clients change their base URL and nothing else. Prompts, tools and answers are judged; an answer
    is shown no further than it is judged, even while it is written.
    """
    check_key(api_key)
    proxy = ProxySettings(
        upstream=upstream,
        upstream_key=os.environ.get(_UPSTREAM_KEY) or None,
        has_client_key=api_key is not None,
        prompt=prompt,
        block=block,
        refusal=refusal,
        observe=observe,
        fail_open=fail_open,
        skip_media=skip_media,
        interval=interval,
        in_a_row=in_a_row,
        allow=frozenset(allow),
        upstream_timeout=upstream_timeout,
        judge_timeout=timeout,
        audit_log=audit_log,
    )
    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        without_key=without_key,
        allowed_hosts=allowed_hosts,
        cors_origins=cors_origins,
        queue=queue,
        max_body=max_body,
        timeout=timeout,
        log_format=log_format,
        policies=(find_policy(policy),),
    )

    def load(cancel: Cancellation) -> Guard:
        return Guard(model, policy=policy, cancel=cancel, **running)

    require("proxy", "the proxy")
    from edgeguard.proxy.run import serve

    serve(proxy, settings, load)
    return EXIT_OK
