"""`edgeguard serve`: verdicts over HTTP, in OpenAI's forms and our own.

Reads the options and starts edgeguard.server. This module holds no logic of moderation.
"""

from __future__ import annotations

import click
from click.core import ParameterSource

from edgeguard.cancellation import Cancellation
from edgeguard.commands.listening import KEY, check_key, listening_options
from edgeguard.commands.options import (
    Running,
    above_zero,
    answer_options,
    exact_option,
    model_options,
)
from edgeguard.errors import EXIT_OK
from edgeguard.extras import require
from edgeguard.guard import Guard
from edgeguard.policy import STRICT
from edgeguard.server.settings import (
    HOST,
    MAX_BODY,
    OLLAMA_PORT,
    PORT,
    QUEUE,
    Settings,
)
from edgeguard.store import find_policy
from edgeguard.store.policies import POLICY_VARIABLE
from edgeguard.worker.limits import TIMEOUT


@click.command(name="serve")
@answer_options
@model_options
@click.option(
    "--policy",
    "policies",
    envvar=POLICY_VARIABLE,
    multiple=True,
    default=(STRICT.name,),
    help="strict flags Controversial, loose does not; or a saved policy, or a TOML file. "
    "Can be given several times: requests may name any of them, and get the first where they name "
    "none. The variable holds them with spaces between.  [default: strict]",
)
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
    envvar=KEY,
    metavar="KEY",
    help="Asked of clients as Bearer token. Others on this machine can read a command line: "
    "prefer the variable.",
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
    "--max-tokens-per-request",
    "max_tokens",
    envvar="EDGEGUARD_MAX_TOKENS_PER_REQUEST",
    type=int,
    help="Tokens of all the questions of a request; more is an error. "
    "Default: what this machine reads in --timeout, measured at the start.",
)
@click.option(
    "--timeout",
    envvar="EDGEGUARD_TIMEOUT",
    type=float,
    default=TIMEOUT,
    show_default=True,
    help="Seconds of computing for one request; waiting does not count.",
)
@click.option(
    "--idle-unload",
    envvar="EDGEGUARD_IDLE_UNLOAD",
    type=float,
    callback=above_zero,
    metavar="SECONDS",
    help="Give the model's memory back when nothing was asked for so long; the next request loads "
    "it again.  [default: never]",
)
@click.option(
    "--alias",
    "aliases",
    envvar="EDGEGUARD_ALIASES",
    metavar="NAME",
    multiple=True,
    help="A further name of the model that requests may give; can be given several times. All "
    "names of Qwen3Guard-Gen in its size are known without. The variable holds them with spaces "
    "between.",
)
@click.option(
    "--any-model",
    envvar="EDGEGUARD_ANY_MODEL",
    is_flag=True,
    help="Answer whatever model a request names.",
)
@click.option(
    "--ollama",
    envvar="EDGEGUARD_OLLAMA",
    is_flag=True,
    help=f"Listen where Ollama does, at port {OLLAMA_PORT}, unless --port says another. Its API is "
    "served at any port.",
)
@click.option(
    "--litellm-calls",
    envvar="EDGEGUARD_LITELLM_CALLS",
    type=int,
    default=0,
    show_default=True,
    help="Keep the messages of so many calls of LiteLLM in memory, for up to 10 minutes, so that "
    "answers are judged as answers to them.",
)
@exact_option
@click.option(
    "--root-path",
    envvar="EDGEGUARD_ROOT_PATH",
    default="",
    metavar="PATH",
    help="The path under which a proxy shows this server, such as /guard.",
)
@listening_options
def command(
    model: str | None,
    policies: tuple[str, ...],
    running: Running,
    host: str,
    port: int,
    api_key: str | None,
    without_key: bool,
    allowed_hosts: tuple[str, ...],
    queue: int,
    max_body: int,
    max_tokens: int | None,
    timeout: float,
    idle_unload: float | None,
    cors_origins: tuple[str, ...],
    aliases: tuple[str, ...],
    any_model: bool,
    ollama: bool,
    litellm_calls: int,
    exact: bool,
    root_path: str,
    log_format: str,
) -> int:
    """Serve verdicts over HTTP until Ctrl-C.

    /v1/chat/completions and /v1/moderations as OpenAI's clients know them, /api/chat and
    /api/generate as Ollama's do, /v1/guard for the native verdict, and a page at / to try it on.
    """
    check_key(api_key)
    context = click.get_current_context()
    if ollama and context.get_parameter_source("port") is ParameterSource.DEFAULT:
        port = OLLAMA_PORT
    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        without_key=without_key,
        allowed_hosts=allowed_hosts,
        queue=queue,
        max_body=max_body,
        max_tokens=max_tokens,
        timeout=timeout,
        cors_origins=cors_origins,
        root_path=root_path,
        aliases=aliases,
        any_model=any_model,
        litellm_calls=litellm_calls,
        exact=exact,
        log_format=log_format,
        policies=tuple(map(find_policy, policies)),
    )

    def load(cancel: Cancellation) -> Guard:
        guard = Guard(model, policy=policies[0], idle_unload=idle_unload, cancel=cancel, **running)
        for policy in settings.policies:
            policy.check_model(guard.model.sha256, guard.model.name)
        return guard

    require("server", "the server")
    from edgeguard.server.run import serve

    serve(settings, load)
    return EXIT_OK
