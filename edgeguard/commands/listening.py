"""Options shared by the commands that listen for requests: access and logging.

This module starts no server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

from edgeguard.errors import InputError
from edgeguard.server.settings import LOG_FORMATS

KEY = "EDGEGUARD_API_KEY"
"""The variable with the key that clients must send."""

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--without-key",
        envvar="EDGEGUARD_WITHOUT_KEY",
        is_flag=True,
        help="Serve other machines although there is no key.",
    ),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        envvar="EDGEGUARD_ALLOWED_HOSTS",
        metavar="NAME",
        multiple=True,
        help="A name that requests may give as this server's host; can be given several times. "
        "Without a key, others are refused but for addresses, localhost and --host. The variable "
        "holds them with spaces between.",
    ),
    click.option(
        "--cors-origin",
        "cors_origins",
        envvar="EDGEGUARD_CORS_ORIGINS",
        metavar="ORIGIN",
        multiple=True,
        help="A web origin whose pages may ask; can be given several times. The variable holds "
        "them with spaces between.",
    ),
    click.option(
        "--log-format",
        envvar="EDGEGUARD_LOG_FORMAT",
        type=click.Choice(LOG_FORMATS),
        default=LOG_FORMATS[0],
        show_default=True,
        help="The log on stderr: text, or a JSON object a line.",
    ),
)


def listening_options(command: _F) -> _F:
    """--without-key, --allowed-host, --cors-origin and --log-format."""
    return reduce(lambda inner, option: option(inner), reversed(_OPTIONS), command)


def check_key(api_key: str | None) -> None:
    """Refuse an empty variable: click would ignore it, and an unset secret would open the server.

    Raises InputError.
    """
    if api_key is None and os.environ.get(KEY) == "":
        raise InputError(f"{KEY} is empty: set it to the key, or unset it to serve without one")
