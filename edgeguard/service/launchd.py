"""Agents of the user's launchd on macOS: install, start, query, remove.

Written by launchd.plist(5) and launchctl(1), and tested only with a stand-in for launchctl: this
project has had no Mac. This module decides nothing about what is run.
"""

from __future__ import annotations

import os
import plistlib
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from edgeguard.errors import ServiceError
from edgeguard.service.files import Written, write_private
from edgeguard.service.state import Condition, State
from edgeguard.service.unit import Unit

_OURS = "EdgeguardSaid"
"""A key unknown to launchd that marks a file as ours and says where the service listens."""


class Launchd:
    """The launchd of this user, as long as they are logged in at the screen."""

    def check(self, unit: Unit) -> None:
        """Check that the agent can be installed. Raises ServiceError."""
        self._content(unit.kind)
        if _launchctl("print", _domain()).returncode:
            raise ServiceError(
                "no launchd of your own answers: log in at the screen, for services of a user do "
                "not run over ssh alone"
            )

    def stop(self, kind: str) -> bool:
        """Stop the agent if it runs; returns whether it did."""
        return _launchctl("bootout", f"{_domain()}/{_label(kind)}").returncode == 0

    def start(self, kind: str) -> None:
        """Start the agent. Raises ServiceError."""
        done = _launchctl("bootstrap", _domain(), str(self.file(kind)))
        if done.returncode:
            raise ServiceError(f"launchctl bootstrap failed: {done.stderr.strip()}")

    def install(self, unit: Unit, said: str) -> list[str]:
        """Write the agent, and have it start now and at every login. Raises ServiceError."""
        file, log = self.file(unit.kind), self.log(unit.kind)
        log.parent.mkdir(parents=True, exist_ok=True)
        with Written(file) as written:
            write_private(file, plistlib.dumps(agent(unit, log, said)).decode())
            self.start(unit.kind)
            written.keep()
        return []

    def remove(self, kind: str) -> None:
        """Stop the agent and remove its files. Raises ServiceError."""
        self._content(kind)
        self.stop(kind)
        for path in (self.file(kind), self.log(kind)):
            path.unlink(missing_ok=True)

    def state(self, kind: str) -> State | None:
        """Its state; None if it is not installed."""
        content = self._content(kind)
        if content is None:
            return None
        done = _launchctl("print", f"{_domain()}/{_label(kind)}")
        found = dict(re.findall(r"^\t(pid|runs|last exit code) = (.+)$", done.stdout, re.M))
        pid = found.get("pid", "")
        code = found.get("last exit code", "")
        condition: Condition = "stopped"
        if done.returncode == 0:
            condition = "running" if pid else "failed"
        return State(
            kind,
            condition,
            str(self.file(kind)),
            pid=int(pid) if pid.isdecimal() else None,
            restarts=max(int(found["runs"]) - 1, 0) if found.get("runs", "").isdecimal() else None,
            said=content[_OURS],
            detail=f"how it ended: {code}" if condition == "failed" and code else "",
        )

    def log_command(self, kind: str) -> str:
        """The command that shows its log."""
        return f"tail -f '{self.log(kind)}'"

    def file(self, kind: str) -> Path:
        """The file of the agent."""
        return Path.home() / "Library" / "LaunchAgents" / f"{_label(kind)}.plist"

    def log(self, kind: str) -> Path:
        """The file to which launchd writes its output."""
        return Path.home() / "Library" / "Logs" / f"{_label(kind)}.log"

    def _content(self, kind: str) -> dict[str, Any] | None:
        """The content of our agent; None if there is none. Raises ServiceError for another's."""
        file = self.file(kind)
        if not os.path.lexists(file):
            return None
        content = None
        with suppress(OSError, ValueError, ExpatError):
            content = plistlib.loads(file.read_bytes())
        if not isinstance(content, dict) or not isinstance(content.get(_OURS), str):
            raise ServiceError(
                f"{file} was not written by edgeguard: it is left as it is; move it away"
            )
        return content


def agent(unit: Unit, log: Path, said: str) -> dict[str, Any]:
    """The property list of an agent."""
    return {
        "Label": _label(unit.kind),
        "ProgramArguments": list(unit.command),
        "EnvironmentVariables": dict(unit.variables),
        "WorkingDirectory": str(unit.folder),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 40,
        "ProcessType": "Interactive",  # processor time and files are throttled for other types
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
        _OURS: said,
    }


def _label(kind: str) -> str:
    return f"edgeguard.{kind}"


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _launchctl(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["launchctl", *words], capture_output=True, text=True)
    except OSError as error:
        raise ServiceError(f"launchctl cannot be run: {error.strerror or error}") from error
