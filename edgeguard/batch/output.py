"""The file that grows beside the result, and is synced to survive a power cut.

This module does not know what is in it.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeguard.errors import OutputError
from edgeguard.outputs import sync_folder, writing


class Partial:
    """A file that is only appended to. Use it as a context manager."""

    def __init__(self, path: Path, size: int) -> None:
        """Open or create the file and cut it to ``size`` bytes. Raises OutputError."""
        self.path = path
        self.size = size
        with writing(path):
            # Unbuffered, so that an appended row survives a kill.
            self._file = path.open("ab", buffering=0)
        try:
            with writing(path):
                there = path.stat().st_size
                if there < size:
                    raise OutputError(
                        f"{path} has {there} bytes and {size} were written: it cannot be gone on "
                        "with; remove it to start again"
                    )
                self._file.truncate(size)
                sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    def append(self, data: bytes) -> None:
        """Append all of it. Raises OutputError; a part may then be in the file, beyond ``size``."""
        left = memoryview(data)
        with writing(self.path):
            while left:
                left = left[self._file.write(left) :]
        self.size += len(data)

    def sync(self) -> None:
        """Sync everything to the disk. Raises OutputError."""
        with writing(self.path):
            os.fsync(self._file.fileno())

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
