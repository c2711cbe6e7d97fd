"""The text of a unit for the user's systemd, and how to recognise our own units.

The first line has a digest of the rest, so a unit that somebody changed can be recognised. This
module reads and writes no file.

Sources: systemd.service(5), systemd.exec(5), systemd.syntax(7).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from edgeguard.service.unit import Unit

_MARK = "# Written by edgeguard service install; sha256 "
_SHARED = ("/tmp", "/var/tmp")

_NAMESPACES = """\
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
{writes}
ProtectProc=invisible
"""
# ProcSubset=pid is left out: the processor's features and cores are read from /proc. Options that
# need root, such as ProtectKernelModules, are left out too. So is MemoryDenyWriteExecute: llama.cpp
# calls back through Python's ctypes, which needs memory that is writable and executable if libffi
# was built without static trampolines, as in some Pythons.
_UNIT = """\
[Unit]
Description=edgeguard {kind}: safety verdicts on this machine
Documentation=man:systemd.service(5)
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
ExecStart=:{command}
WorkingDirectory={folder}
EnvironmentFile={variables}
Restart=on-failure
RestartSec=2
TimeoutStartSec=15min
TimeoutStopSec=40
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
{namespaces}
[Install]
WantedBy=default.target
"""


def unit_text(unit: Unit, variables: Path, *, namespaces: bool) -> str:
    """The unit. Without ``namespaces``, its options work on a system without user namespaces."""
    private = _NAMESPACES.format(
        writes="\n".join(f"ReadWritePaths={_word(str(folder))}" for folder in unit.writes)
    )
    if not unit.devices:
        private += "PrivateDevices=yes\n"
    body = _UNIT.format(
        kind=unit.kind,
        command=" ".join(_word(word) for word in unit.command),
        folder=_specifiers(str(unit.folder)),
        variables=_specifiers(str(variables)),
        namespaces=private if namespaces else "",
    )
    return f"{_MARK}{_digest(body)}\n{body}"


def variables_text(variables: Mapping[str, str]) -> str:
    """The file of variables, which only the user may read."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def is_ours(text: str) -> bool:
    """Whether edgeguard wrote this unit."""
    return text.startswith(_MARK)


def is_changed(text: str) -> bool:
    """Whether one of our units was changed since."""
    first, _, body = text.partition("\n")
    return first != f"{_MARK}{_digest(body)}"


def unseen(unit: Unit) -> str | None:
    """A path of the command inside a folder that the service sees its own version of; or None."""
    paths = [word for word in unit.command if word.startswith("/")]
    paths += [str(folder) for folder in unit.writes]
    for path in paths:
        if any(Path(path).is_relative_to(folder) for folder in _SHARED):
            return path
    return None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _word(word: str) -> str:
    """A quoted word. Dollar signs stay, since the colon before the command disables variables."""
    return _quoted(_specifiers(word))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
