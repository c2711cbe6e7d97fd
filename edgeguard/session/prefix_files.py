"""Stores computed prefixes of questions on disk, so that a new process need not compute them again.

A prefix is the text that every question of a mode begins with; its KV cache is one file in a folder
of EDGEGUARD_HOME. The file's name contains a digest of everything that the state depends on, so
another model, library or setting uses another file, and the sha256 of the state, so a damaged file
is not used. Files are replaced atomically, so processes may share the folder. It may be removed at
any time; if it cannot be read or written, that only costs time.

The files contain our own text only, and nothing of a message. This module does not know llama.cpp.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edgeguard.files import read_regular

MAX_BYTES = 256 << 20
"""The size limit of the folder; the prefix of a mode takes 23 to 33 MB with the 0.6B model."""

_FORM = 3  # version of the files and their names; a new one makes old files unknown
_ABANDONED_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class PrefixFiles:
    """The files of one model, library and group of settings, in a folder shared with others."""

    def __init__(self, folder: Path, depends_on: Mapping[str, object]) -> None:
        """``depends_on``: everything that affects the state of the same tokens."""
        self._folder = folder
        self._depends_on = dict(depends_on)

    def find(self, prefix: Sequence[int]) -> bytearray | None:
        """The state of a prefix that ``add`` stored; None if there is none."""
        for path in self._of(prefix):
            try:
                state = read_regular(path, MAX_BYTES)
            except OSError as error:
                _log.info("a computed prefix cannot be read: %s", error)
                continue
            if hashlib.sha256(state).hexdigest() == path.stem.partition("-")[2]:
                with suppress(OSError):  # a read-only folder can still be read from
                    os.utime(path)  # marks the file as used; the least recently used go first
                return state
            _log.warning("a computed prefix in %s was damaged; it is made again", self._folder)
            _remove(path)
        return None

    def add(self, prefix: Sequence[int], state: bytes | bytearray | memoryview) -> None:
        """Store a state, if the folder can be written."""
        name = f"{self._key(prefix)}-{hashlib.sha256(state).hexdigest()}.state"
        new = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, path = tempfile.mkstemp(dir=self._folder, suffix=".new")
            new = Path(path)
            with os.fdopen(handle, "wb") as file:
                file.write(state)
            new.replace(self._folder / name)
            self._bound()
        except OSError as error:
            _log.info("a computed prefix is not kept: %s", error)
        finally:
            if new is not None:
                _remove(new)

    def drop(self, prefix: Sequence[int]) -> None:
        """Remove a state that turned out to be useless."""
        for path in self._of(prefix):
            _remove(path)

    def _of(self, prefix: Sequence[int]) -> list[Path]:
        with suppress(OSError):
            return list(self._folder.glob(f"{self._key(prefix)}-*.state"))
        return []

    def _key(self, prefix: Sequence[int]) -> str:
        parts = {"form": _FORM, "prefix": list(prefix), **self._depends_on}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _bound(self) -> None:
        """Remove the least recently used files over the limit, and leftovers of killed writers."""
        left = MAX_BYTES
        for path, size in self._newest_first():
            left -= size
            if left < 0:
                _remove(path)
        for path in self._folder.glob("*.new"):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                _remove(path)

    def _newest_first(self) -> Iterator[tuple[Path, int]]:
        files = [(path, path.stat()) for path in self._folder.glob("*.state")]
        for path, status in sorted(files, key=lambda file: file[1].st_mtime_ns, reverse=True):
            yield path, status.st_size


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
