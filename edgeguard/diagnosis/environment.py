"""The environment variables: which are set, which are misspelt, which have invalid values.

The EDGEGUARD_* variables are read from the options of the commands, so the list cannot become
outdated. This module changes no variable and shows no secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches

import click

from edgeguard.diagnosis.problems import Problem
from edgeguard.errors import EdgeguardError
from edgeguard.remote.address import KEY_VARIABLE
from edgeguard.store.model_file import MODEL_VARIABLE
from edgeguard.store.paths import HOME_VARIABLE
from edgeguard.store.policies import POLICY_VARIABLE, find_policy

PREFIX = "EDGEGUARD_"
OTHERS = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"),
    *("HTTPS_PROXY", "https_proxy", "LLAMA_CPP_LIB_PATH", "GGML_BACKEND_PATH"),
)
"""Variables of our dependencies that change what edgeguard does."""

_UPSTREAM_KEY = "EDGEGUARD_UPSTREAM_KEY"  # the proxy's, whose room stands above this one
_SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PROXY")


def effective() -> dict[str, str]:
    """The relevant variables that are set; of a secret, only that it is set."""
    mine = sorted(name for name in os.environ if name.startswith(PREFIX))
    names = [*mine, *(name for name in OTHERS if name in os.environ)]
    return {name: _shown(name, os.environ[name]) for name in names}


def problems(cli: click.Group) -> Iterator[Problem]:
    """The problems of the EDGEGUARD_* variables that are set, by the options of the command."""
    options = _options(cli)
    known = {HOME_VARIABLE, MODEL_VARIABLE, KEY_VARIABLE, _UPSTREAM_KEY, *options}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            yield _unknown(name, known)
    for name, (command, option) in options.items():
        if name in os.environ:
            yield from _refused(name, command, option)
    if os.environ.get(POLICY_VARIABLE):
        for name in os.environ[POLICY_VARIABLE].split():  # serve takes several
            yield from _policy_refused(name)


def _options(cli: click.Group) -> dict[str, tuple[click.Command, click.Parameter]]:
    """Each option of a command that a variable can set, by the variable's name."""
    found: dict[str, tuple[click.Command, click.Parameter]] = {}
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        for option in command.params if command else ():
            if isinstance(option.envvar, str):
                found[option.envvar] = (command, option) if command else found[option.envvar]
    return found


def _unknown(name: str, known: set[str]) -> Problem:
    close = get_close_matches(name, sorted(known), n=1)
    meant = f"did you mean {close[0]}? unset {name}" if close else f"unset {name}"
    return Problem(f"{name} is set, but edgeguard knows no such variable", meant, stops=False)


def _refused(name: str, command: click.Command, option: click.Parameter) -> Iterator[Problem]:
    value = os.environ[name]
    try:
        option.type_cast_value(click.Context(command), value or None)
    except click.BadParameter as error:
        todo = f"set it to what edgeguard {command.name} --help says, or unset it"
        yield Problem(
            f"{name}={_shown(name, value)} is refused ({error.message})", todo, stops=True
        )


def _policy_refused(value: str) -> Iterator[Problem]:
    """Check the name of a policy, which may have been removed or damaged; the option cannot."""
    try:
        find_policy(value)
    except EdgeguardError as error:
        todo = "set it to a policy that there is, or unset it"
        yield Problem(f"{POLICY_VARIABLE}={value} is refused ({error})", todo, stops=True)


def _shown(name: str, value: str) -> str:
    return "(set)" if any(word in name.upper() for word in _SECRET) else value
