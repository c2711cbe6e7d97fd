"""The service manager of this system, and the steps of installing, removing and querying.

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
        """Check that the unit can be installed."""

    def stop(self, kind: str) -> bool:
        """Stop the service if it runs; returns whether it did."""
        ...

    def start(self, kind: str) -> None:
        """Start the service."""

    def install(self, unit: Unit, said: str) -> list[str]:
        """Write and start the service; ``said`` is its message when it is ready."""
        ...

    def remove(self, kind: str) -> None:
        """Stop the service and remove its files."""

    def state(self, kind: str) -> State | None:
        """Its state; None if it is not installed."""
        ...

    def log_command(self, kind: str) -> str:
        """The command that shows its log."""
        ...


def manager() -> Manager:
    """The manager of this system. Raises ServiceError if edgeguard supports none."""
    if sys.platform == "darwin":
        return Launchd()
    if sys.platform.startswith("linux"):
        return Systemd()
    raise ServiceError(
        "edgeguard knows the services of Linux (systemd) and macOS (launchd); on Windows, have the "
        "Task Scheduler start `edgeguard serve` at logon"
    )


def install(unit: Unit) -> list[str]:
    """Install a service and start it; returns notes for the user.

    The command is first run by hand. If that fails, an existing service runs on. Raises
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
    """Remove the named service, or the only one; returns its kind. Raises ServiceError."""
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
    """The state of each installed service. Raises ServiceError."""
    services = manager()
    return [state for kind in KINDS if (state := services.state(kind)) is not None]
