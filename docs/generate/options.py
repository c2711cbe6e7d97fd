"""The command line as data: each command with its options, variables and defaults.

Reads click's own objects, so that an option that exists is an option that is found. This module
writes no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

from edgeguard.cli import cli

_DEFAULT = re.compile(r"\s*\[default: ([^\]]*)\]$")


@dataclass(frozen=True)
class Option:
    """An option as a reader types it."""

    names: tuple[str, ...]
    """As they are typed, the last one with what it takes."""
    variable: str | None
    default: str
    help: str


@dataclass(frozen=True)
class Command:
    """A command with what its `--help` says."""

    name: str
    usage: str
    paragraphs: tuple[str, ...]
    options: tuple[Option, ...]


def commands() -> Iterator[Command]:
    """All commands in the order of `edgeguard --help`, the program itself first."""
    context = click.Context(cli, info_name="edgeguard")
    yield _command(context)
    for name in cli.list_commands(context):
        found = cli.get_command(context, name)
        assert found is not None
        yield from _with_subcommands(click.Context(found, info_name=name, parent=context))


def _with_subcommands(context: click.Context) -> Iterator[Command]:
    yield _command(context)
    if isinstance(context.command, click.Group):
        for name, found in context.command.commands.items():
            yield from _with_subcommands(click.Context(found, info_name=name, parent=context))


def _command(context: click.Context) -> Command:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = (" ".join(each.split()) for each in (command.help or "").split("\n\n"))
    options = (each for each in command.params if isinstance(each, click.Option))
    return Command(
        context.command_path,
        usage,
        tuple(filter(None, paragraphs)),
        tuple(_option(each, context) for each in options),
    )


def _option(option: click.Option, context: click.Context) -> Option:
    variable = option.envvar
    assert variable is None or isinstance(variable, str)
    help_ = " ".join((option.help or "").split())
    told = _DEFAULT.search(help_)
    names = list(option.opts)
    if not (option.is_flag or option.count):
        names[-1] += " " + option.make_metavar(context).strip("[]")
    return Option(
        tuple(names),
        variable,
        told[1] if told else _default(option),
        _DEFAULT.sub("", help_),
    )


def _default(option: click.Option) -> str:
    if option.required:
        return "must be given"
    if option.count:
        return "0"
    if option.is_eager:  # it does something else instead, as --version
        return ""
    if option.is_flag:
        return "off"
    value = None if option.multiple else option.default
    return str(value) if isinstance(value, (str, int, float)) else ""
