"""The sha256 of a file, remembered so that a large file is not read again at each start.

Each remembered value is a small file. Its name identifies the content without reading it, by path,
size, modification and change time, and inode (the file's stamp); it also says whether the file was
found sound. Files are replaced atomically, so any number of processes may share the folder; a value
that cannot be read or written is computed instead.

This module does not decide what a checksum should be, or what makes a model's file sound.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path

from edgeguard.console import Meter
from edgeguard.digest import sha256_of
from edgeguard.errors import EdgeguardError, ModelError, StoreError
from edgeguard.files import replace_text
from edgeguard.store import paths

_log = logging.getLogger(__name__)

_HEX = re.compile(r"[0-9a-f]{64}")
_SOUND = "sound-1"
"""The mark of a sound file; with a new number, all files are inspected again."""

_SETTLED_SECONDS = 2.0
"""A file changed this recently can change again within one tick of its clock (FAT's is 2 s)."""


Stamp = tuple[str, int, int, int, int]


def file_sha256(path: Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits, remembered under EDGEGUARD_HOME.

    Raises StoreError if the file cannot be read.
    """
    return _known(path, _hash, ("", _SOUND))


def sound_sha256(path: Path, vouched: Collection[str] = ()) -> str:
    """The same for a model's file, which must be sound or have its checksum in ``vouched``.

    Raises ModelError if it is neither, StoreError if it cannot be read.
    """
    return _known(path, lambda file: _inspect(file, vouched), (_SOUND,))


def inspected_sha256(path: Path, vouched: Collection[str] = ()) -> str:
    """The same, but always computed anew."""
    try:
        return _inspect(path, vouched)
    except OSError as error:
        raise _unreadable(path, error) from error


def stamp(path: Path) -> Stamp:
    """What changes whenever a file's content does: path, size, times, inode.

    Raises StoreError if the file no longer exists.
    """
    try:
        return _identity(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def compute_sha256(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The sha256 of a file, always computed anew.

    Raises StoreError if the file cannot be read.
    """
    try:
        return _hash(path, progress)
    except OSError as error:
        raise _unreadable(path, error) from error


def is_sha256(text: object) -> bool:
    """Whether it is a sha256 as this package writes it: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _HEX.fullmatch(text) is not None


def _known(path: Path, compute: Callable[[Path], str], marks: tuple[str, ...]) -> str:
    """The value remembered under one of the marks, or computed and stored under the first."""
    try:
        before = _identity(path)
        known = _recall(before, marks)
        if known is not None:
            return known
        digest = compute(path)
        if _identity(path) == before:
            _remember(before, digest, marks[0])
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest


def _inspect(path: Path, vouched: Collection[str]) -> str:
    from edgeguard.gguf.inspection import UnsoundError, inspect

    try:
        return inspect(path, vouched)
    except UnsoundError as error:
        raise ModelError(f"{path} {error}") from error


def _hash(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    if progress is None:
        return sha256_of(path)
    return sha256_of(path, Meter(path.stat().st_size, progress).advance)


def _identity(path: Path) -> Stamp:
    status = path.stat()
    where = str(path.resolve())
    return (where, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _entry(identity: Stamp) -> Path:
    key = hashlib.sha256(repr(identity).encode("utf-8", "surrogatepass")).hexdigest()
    return paths.checksums_folder() / key


def _recall(identity: Stamp, marks: tuple[str, ...]) -> str | None:
    try:
        digest, _, mark = _entry(identity).read_text(encoding="ascii").strip().partition(" ")
    except (OSError, ValueError, EdgeguardError):
        return None
    return digest if is_sha256(digest) and mark in marks else None


def _remember(identity: Stamp, digest: str, mark: str) -> None:
    changed = max(identity[2], identity[3]) / 1e9
    if abs(time.time() - changed) < _SETTLED_SECONDS:
        return
    try:
        replace_text(_entry(identity), f"{digest} {mark}".strip() + "\n")
    except (OSError, EdgeguardError) as error:
        # A folder that cannot be written only costs time at the next start.
        _log.debug("a checksum is not remembered: %s", error)


def _unreadable(path: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"{path} cannot be read ({reason}); check the file and its permissions")
