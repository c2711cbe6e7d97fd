"""The options of serve and proxy, converted for use in a service.

The command itself parses them, with their variables, so they have the same meaning. This module
starts nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgeguard.commands.listening import KEY, check_key
from edgeguard.errors import InputError
from edgeguard.remote.address import KEY_VARIABLE
from edgeguard.service.unit import Unit, make_unit
from edgeguard.store.model_file import resolve, server_address
from edgeguard.store.policies import is_file_name
from edgeguard.store.registry import BUILT_INS
from edgeguard.store.store import candidates

UPSTREAM_KEY = "EDGEGUARD_UPSTREAM_KEY"
_MEMORY = "memory"


def asked_unit(command: click.Command, kind: str, options: tuple[str, ...]) -> Unit:
    """The unit that runs `edgeguard KIND` with the options typed and the variables set now.

    Raises InputError, click's errors for invalid options, ModelNotFoundError.
    """
    name = f"edgeguard service install {kind}"
    context = command.make_context(name, list(options))
    check_key(context.params["api_key"])
    if context.params["port"] == 0:
        raise InputError("a service needs a port that its clients know: give another --port than 0")
    words, files = [], []
    for option in command.params:
        assert option.name is not None
        value = _found(context, option)
        for one in value:
            words += [option.opts[0]] if one is True else [option.opts[0], _plain(option, one)]
        if option.name in ("cache", "audit_log"):
            files += [Path(_plain(option, one)) for one in value if one != _MEMORY]
    keys = {KEY: context.params["api_key"]}
    keys |= {name: os.environ.get(name) for name in (UPSTREAM_KEY, KEY_VARIABLE)}
    return make_unit(
        kind,
        tuple(words),
        keys={variable: key for variable, key in keys.items() if key},
        files=tuple(files),
        devices=context.params["device"] != "cpu",
    )


def _found(context: click.Context, option: click.Parameter) -> list[Any]:
    """The values given for an option, by flag or variable; keys are left out."""
    assert option.name is not None
    given = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    if option.name == "api_key" or context.get_parameter_source(option.name) not in given:
        return []
    value = context.params[option.name]
    return list(value) if option.multiple else [] if value in (None, False) else [value]


def _plain(option: click.Parameter, value: Any) -> str:
    """A value as it is typed, with absolute paths."""
    text = str(value)
    return os.path.abspath(text) if _is_file(option, text) else text  # noqa: PTH100 - a link stays


def _is_file(option: click.Parameter, text: str) -> bool:
    if option.name == "model":
        return server_address(text) is None and not _is_name(text)
    if option.name in ("policy", "policies"):
        return is_file_name(text)
    return option.name == "audit_log" or (option.name == "cache" and text != _MEMORY)


def _is_name(model: str) -> bool:
    """Whether it is a model's name, not a path. Raises ModelNotFoundError for an unknown model."""
    resolve(model)
    return model in BUILT_INS or bool(candidates(model))
