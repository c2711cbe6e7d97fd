"""The manager of services of this system, and what installing, removing and asking are.

This module writes no file of its own.
"""

from __future__ import annotations

import sys
from typing import Protocol

from edgeguard.errors import ServiceError
from edgeguard.service.launchd import Launchd
from edgeguard.service.rehearsal import rehearse
from edgeguard.service.state import State
from edgeguard.service.systemd import Systemd
from edgeguard.service.unit import KINDS, Unit


class Manager(Protocol):
    """Runs services."""

    def check(self, unit: Unit) -> None:
        """See that it can be installed."""

    def stop(self, kind: str) -> bool:
        """Stop it where it runs; whether it did."""
        ...

    def start(self, kind: str) -> None:
        """Start it."""

    def install(self, unit: Unit, said: str) -> list[str]:
        """Write and start it; ``said``: what it says when it is ready."""
        ...

    def remove(self, kind: str) -> None:
        """Stop it and take its files away."""

    def state(self, kind: str) -> State | None:
        """How it is; None where it is not installed."""
        ...

    def log_command(self, kind: str) -> str:
        """What shows its log."""
        ...


def manager() -> Manager:
    """The one of this system. Raises ServiceError where edgeguard knows none."""
    if sys.platform == "darwin":
        return Launchd()
    if sys.platform.startswith("linux"):
        return Systemd()
    raise ServiceError(
        "edgeguard knows the services of Linux (systemd) and macOS (launchd); on Windows, have the "
        "Task Scheduler start `edgeguard serve` at logon"
    )


def install(unit: Unit) -> list[str]:
    """Install a service and start it; what there is to say about it.

    It is run by hand first. Where that fails, one that was there before runs on. Raises
    ServiceError, InputError.
    """
    services = manager()
    services.check(unit)
    ran = services.stop(unit.kind)
    try:
        return services.install(unit, rehearse(unit))
    except BaseException:
        if ran:
            services.start(unit.kind)
        raise


def remove(kind: str | None) -> str:
    """Take a service away, or the one there is; which it was. Raises ServiceError."""
    services = manager()
    found = [state.kind for state in states()]
    if kind is None and len(found) == 1:
        (kind,) = found
    if kind is None and found:
        raise ServiceError(f"there are several: name one, {' or '.join(found)}")
    if kind is None or kind not in found:
        raise ServiceError(f"no service {kind or 'of edgeguard'} is installed")
    services.remove(kind)
    return kind


def states() -> list[State]:
    """How each installed service is. Raises ServiceError."""
    services = manager()
    return [state for kind in KINDS if (state := services.state(kind)) is not None]
