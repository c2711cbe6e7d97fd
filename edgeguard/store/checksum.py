"""The sha256 of a file, remembered so that a large file is not read again at each start.

A remembered value is one small file, named by what identifies the content without reading it:
path, size, modification and change time, inode. Writers replace whole files, so any number of
processes may share the folder; what cannot be read or written is computed instead.

This module does not decide what a checksum should be.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from edgeguard.console import Meter
from edgeguard.digest import sha256_of
from edgeguard.errors import EdgeguardError, StoreError
from edgeguard.files import replace_text
from edgeguard.store import paths

_log = logging.getLogger(__name__)

_HEX = re.compile(r"[0-9a-f]{64}")
_SETTLED_SECONDS = 2.0
"""A file changed this recently can change again within one tick of its clock (FAT's is 2 s)."""


def file_sha256(path: Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits, remembered under EDGEGUARD_HOME.

    Raises StoreError when the file cannot be read.
    """
    try:
        before = _identity(path)
        known = _recall(before)
        if known is not None:
            return known
        digest = _hash(path)
        if _identity(path) == before:
            _remember(before, digest)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest


def compute_sha256(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The sha256 of a file, read now whatever is remembered.

    Raises StoreError when the file cannot be read.
    """
    try:
        return _hash(path, progress)
    except OSError as error:
        raise _unreadable(path, error) from error


def is_sha256(text: object) -> bool:
    """Whether it is a sha256 as this package writes it: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _HEX.fullmatch(text) is not None


def _hash(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    if progress is None:
        return sha256_of(path)
    return sha256_of(path, Meter(path.stat().st_size, progress).advance)


def _identity(path: Path) -> tuple[str, int, int, int, int]:
    status = path.stat()
    where = str(path.resolve())
    return (where, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _entry(identity: tuple[str, int, int, int, int]) -> Path:
    key = hashlib.sha256(repr(identity).encode("utf-8", "surrogatepass")).hexdigest()
    return paths.checksums_folder() / key


def _recall(identity: tuple[str, int, int, int, int]) -> str | None:
    try:
        text = _entry(identity).read_text(encoding="ascii").strip()
    except (OSError, ValueError, EdgeguardError):
        return None
    return text if is_sha256(text) else None


def _remember(identity: tuple[str, int, int, int, int], digest: str) -> None:
    changed = max(identity[2], identity[3]) / 1e9
    if abs(time.time() - changed) < _SETTLED_SECONDS:
        return
    try:
        replace_text(_entry(identity), digest + "\n")
    except (OSError, EdgeguardError) as error:
        # A folder that cannot be written costs time at the next start, nothing else.
        _log.debug("a checksum is not remembered: %s", error)


def _unreadable(path: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"{path} cannot be read ({reason}); check the file and its permissions")
