"""Services of the user's systemd: install, start, query, remove.

The unit is in the folder that systemd(1) names for users. Its variables are beside edgeguard's own
settings, readable by the user alone. This module decides nothing about what is run.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from edgeguard.errors import InputError, ServiceError
from edgeguard.service.files import Written, config_folder, remove_empty, write_private
from edgeguard.service.state import Condition, State
from edgeguard.service.systemd_unit import is_changed, is_ours, unit_text, unseen, variables_text
from edgeguard.service.unit import Unit

_SHOWN = "ActiveState,SubState,MainPID,NRestarts,StatusText,Result,ExecMainStatus,FragmentPath"
_NO_NAMESPACES = ("217", "226")
"""Exit codes of a service that could not get its sandbox, from systemd.exec(5)."""


class Systemd:
    """The systemd of this user."""

    def check(self, unit: Unit) -> None:
        """Check that the unit can be installed. Raises ServiceError, InputError."""
        if (path := unseen(unit)) is not None:
            raise InputError(
                f"{path} lies where a service has a folder of its own: move it out of /tmp"
            )
        _ask("show-environment")
        file = self.file(unit.kind)
        fragment = _show(file.name).get("FragmentPath", "")
        if fragment and fragment != str(file):
            raise ServiceError(
                f"there is a unit {file.name} already, {fragment}, which is not ours: nothing is "
                "put in front of it"
            )
        if (text := _text(file)) is not None and is_changed(text):
            raise ServiceError(
                f"{file} was changed by hand: put the changes into a drop-in (systemctl --user "
                f"edit {file.stem}), and remove it with edgeguard service remove {unit.kind}"
            )

    def stop(self, kind: str) -> bool:
        """Stop the unit if it runs; returns whether it did."""
        name = self.file(kind).name
        runs = _show(name).get("ActiveState") in ("active", "activating")
        if runs:
            _ask("stop", name)
        return runs

    def start(self, kind: str) -> None:
        """Start the unit, and wait until it is ready. Raises ServiceError."""
        _ask("start", self.file(kind).name)

    def install(self, unit: Unit, _said: str) -> list[str]:
        """Write the unit, and have it start now and at every login; returns notes for the user.

        Raises ServiceError, and then restores what was there before.
        """
        file, variables = self.file(unit.kind), self.variables(unit.kind)
        with Written(file, variables) as written:
            write_private(variables, variables_text(unit.variables))
            notes = []
            for namespaces in (True, False):
                write_private(file, unit_text(unit, variables, namespaces=namespaces))
                _ask("daemon-reload")
                if self._started(file, last=not namespaces):
                    break
                notes = [
                    "systemd cannot give services of users folders of their own here, so this one "
                    "sees all files that you see; the other limits hold"
                ]
            _ask("enable", file.name)
            written.keep()
        return notes + _lingering()

    def remove(self, kind: str) -> None:
        """Stop the unit and remove its files. Raises ServiceError."""
        file = self.file(kind)
        _text(file)
        _ask("disable", "--now", file.name)
        for path in (file, self.variables(kind)):
            path.unlink(missing_ok=True)
        _ask("daemon-reload")
        with suppress(ServiceError):  # raises if it had not failed
            _ask("reset-failed", file.name)
        remove_empty(file.parent / "default.target.wants", file.parent, file.parent.parent)
        remove_empty(self.variables(kind).parent)

    def state(self, kind: str) -> State | None:
        """Its state; None if it is not installed."""
        file = self.file(kind)
        if (text := _text(file)) is None:
            return None
        seen = _show(file.name)
        result = seen.get("Result", "success")
        details = [f"how it ended: {result}"] * (result != "success")
        details += ["its file was changed by hand"] * is_changed(text)
        return State(
            kind,
            _condition(seen),
            str(file),
            pid=int(seen.get("MainPID", 0)) or None,
            restarts=int(seen.get("NRestarts", 0)),
            said=seen.get("StatusText", ""),
            detail="; ".join(details),
        )

    def log_command(self, kind: str) -> str:
        """The command that shows its log."""
        return f"journalctl --user --unit {self.file(kind).stem}"

    def file(self, kind: str) -> Path:
        """The file of the unit."""
        return config_folder() / "systemd" / "user" / f"edgeguard-{kind}.service"

    def variables(self, kind: str) -> Path:
        """The file of its variables."""
        return config_folder() / "edgeguard" / f"{kind}.env"

    def _started(self, file: Path, *, last: bool) -> bool:
        try:
            _ask("restart", file.name)
        except ServiceError as error:
            seen = _show(file.name)
            _ask("stop", file.name)
            if not last and seen.get("ExecMainStatus") in _NO_NAMESPACES:
                return False
            raise ServiceError(
                f"edgeguard runs from here, but not as a service ({seen.get('Result')}), so "
                f"nothing is installed: {_log(file.name) or error}"
            ) from error
        return True


def _text(file: Path) -> str | None:
    """The text of our unit; None if there is none. Raises ServiceError if it is another's."""
    if not os.path.lexists(file):
        return None
    try:
        text = file.read_text(encoding="utf-8") if not file.is_symlink() else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    if not is_ours(text):
        raise ServiceError(
            f"{file} was not written by edgeguard: it is left as it is; move it away"
        )
    return text


def _condition(seen: dict[str, str]) -> Condition:
    if seen.get("SubState") == "auto-restart" or seen.get("ActiveState") == "activating":
        return "starting"
    found: dict[str, Condition] = {"active": "running", "failed": "failed"}
    return found.get(seen.get("ActiveState", ""), "stopped")


def _show(name: str) -> dict[str, str]:
    lines = _ask("show", "--property", _SHOWN, name).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _log(name: str) -> str:
    """The end of its log, if there is a journal."""
    command = ["journalctl", "--user", "--unit", name, "--lines=15", "--output=cat", "--quiet"]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout.strip()
    return ""


def _lingering() -> list[str]:
    """The command that lets it run while nobody is logged in, if that is not set up yet."""
    command = ["loginctl", "show-user", "--property=Linger", "--value", str(os.getuid())]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        if done.stdout.strip() == "yes":
            return []
    return ["it ends when you log out; to have it run always: loginctl enable-linger"]


def _ask(*words: str) -> str:
    """The output of `systemctl --user`. Raises ServiceError."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", "--no-pager", "--no-ask-password", *words],
            capture_output=True,
            text=True,
        )
    except OSError as error:
        raise _no_manager("there is no systemctl here") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or done.stdout.strip()
    if "bus" in said and "connect" in said.lower():
        raise _no_manager(said)
    raise ServiceError(f"systemctl --user {' '.join(words)} failed: {said}")


def _no_manager(said: str) -> ServiceError:
    return ServiceError(
        f"no systemd of your own answers ({said}). In a container, let its engine restart "
        "`edgeguard serve`; after su or sudo, log in as that user instead; on a server, take "
        "packaging/systemd/edgeguard.service"
    )
