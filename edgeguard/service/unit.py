"""What a service runs: the command, its variables, the folders that it writes.

A service has another working folder and other variables than the shell that installs it, so paths
are absolute here and nothing is taken from a shell unsaid. Keys are variables and never words of
the command, which others on the machine can read.

This module starts nothing and knows no manager of services.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeguard.errors import InputError, ServiceError
from edgeguard.store.paths import HOME_VARIABLE, home

KINDS = ("serve", "proxy")
_LINES = ("\n", "\r", "\0")


@dataclass(frozen=True)
class Unit:
    """A service to be. Raises InputError for what no file of a service can hold."""

    kind: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    writes: tuple[Path, ...]
    devices: bool
    """Whether it may use an accelerator."""

    def __post_init__(self) -> None:
        for word in (*self.command, *self.variables.values()):
            if any(sign in word for sign in _LINES):
                raise InputError("a value with a line break cannot be written into a service")

    @property
    def name(self) -> str:
        """The name of the service, the same everywhere."""
        return f"edgeguard-{self.kind}"

    @property
    def folder(self) -> Path:
        """The folder that it runs in: our own, where nobody lays modules."""
        return Path(self.variables[HOME_VARIABLE])


def make_unit(
    kind: str,
    options: tuple[str, ...],
    *,
    keys: Mapping[str, str],
    files: tuple[Path, ...],
    devices: bool,
) -> Unit:
    """A unit that runs `edgeguard KIND` with these options.

    ``files`` are those that the command writes outside edgeguard's own folder.
    """
    folder = home()
    writes = dict.fromkeys([folder, *(file.parent for file in files)])
    return Unit(
        kind,
        (*program(), kind, *options),
        {HOME_VARIABLE: str(folder), **keys},
        tuple(writes),
        devices,
    )


def program() -> tuple[str, ...]:
    """The words that start this edgeguard. Raises ServiceError where they are not known."""
    if not sys.executable:
        raise ServiceError("it is not known which Python runs edgeguard, so none can be installed")
    # Not the program on the path: it need not be this one. A frozen program is itself.
    python = os.path.abspath(sys.executable)  # noqa: PTH100 - a link into a venv stays a link
    return (python,) if getattr(sys, "frozen", False) else (python, "-m", "edgeguard")


def environment(unit: Unit) -> dict[str, str]:
    """The variables that a service has: a few of every process, and its own."""
    kept = ("HOME", "USER", "LOGNAME", "PATH", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | dict(unit.variables)
