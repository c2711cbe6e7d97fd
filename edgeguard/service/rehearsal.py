"""Runs the command of a service once, by hand, until it is ready, and then ends it.

So a wrong option, a missing model or a port in use is reported in full at once, and need not be
found later in the log of a service that does not start. This module installs nothing.
"""

from __future__ import annotations

import re
import select
import socket
import subprocess
import tempfile
from pathlib import Path

from edgeguard.console import say
from edgeguard.errors import ServiceError
from edgeguard.server.notify import VARIABLE
from edgeguard.service.unit import Unit, environment

_END_SECONDS = 60
_TURN = 0.2


def rehearse(unit: Unit) -> str:
    """Run the command as the service would, and return its message when it is ready.

    Raises ServiceError if it ends instead; its output is on stderr then.
    """
    unit.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="edgeguard-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
    ):
        address = str(Path(folder, "notify"))
        told.bind(address)
        process = subprocess.Popen(
            unit.command,
            cwd=unit.folder,
            env=environment(unit) | {VARIABLE: address},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            status = _ready(told, process)
        finally:
            _end(process)
        if status is None:
            said.seek(0)
            say(said.read().rstrip())
            raise ServiceError(
                f"edgeguard {unit.kind} does not run with these options (above), so nothing is "
                "installed"
            )
        return status


def _ready(told: socket.socket, process: subprocess.Popen[bytes]) -> str | None:
    """Its message when it is ready; None if it ends before."""
    while process.poll() is None:
        if not select.select([told], [], [], _TURN)[0]:
            continue
        message = told.recv(4096).decode("utf-8", "replace")
        if re.search(r"^READY=1$", message, re.M):
            found = re.search(r"^STATUS=(.*)$", message, re.M)
            return found[1] if found else ""
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
