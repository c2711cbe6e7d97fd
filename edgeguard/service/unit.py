"""What a service runs: the command, its variables, and the folders that it writes to.

A service has another working folder and other variables than the shell that installs it, so paths
are absolute here, and the shell's variables are not passed on. Keys are passed in variables and
never in the command, which other users of the machine can read.

This module starts nothing and knows no service manager.
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
    """The definition of a service. Raises InputError for values that its file cannot contain."""

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
        """The name of the service, the same for every manager."""
        return f"edgeguard-{self.kind}"

    @property
    def folder(self) -> Path:
        """Its working folder: our own, where nobody else puts modules."""
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
    """The words that start this edgeguard. Raises ServiceError if they are not known."""
    if not sys.executable:
        raise ServiceError("it is not known which Python runs edgeguard, so none can be installed")
    # Not the program on the path, which may be another one. A frozen program starts itself.
    python = os.path.abspath(sys.executable)  # noqa: PTH100 - a link into a venv stays a link
    return (python,) if getattr(sys, "frozen", False) else (python, "-m", "edgeguard")


def environment(unit: Unit) -> dict[str, str]:
    """The variables of the service: a few that every process has, and its own."""
    kept = ("HOME", "USER", "LOGNAME", "PATH", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | dict(unit.variables)
