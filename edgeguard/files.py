"""Files put in place whole, so that a reader sees the old content or the new, never a part; and
files read without waiting for what is no file.

This module translates no error, and makes no promise for a power cut; edgeguard.store.store syncs
what must survive one.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read it; a folder, a pipe or a device is an OSError, and never a wait."""
    handle = os.open(path, os.O_RDONLY | _NO_WAITING | _BINARY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int) -> bytearray:
    """The content of a regular file of at most so many bytes. Raises OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size:,} bytes where at most {most:,} belong", str(path))
        content = bytearray(size)
        with memoryview(content) as view:
            done = 0
            while done < size and (count := file.readinto(view[done:])):
                done += count
        del content[done:]
        return content


def replace_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Write a file in place of what was there, and its folder if need be; nothing is left behind.

    ``sync``: have the disk hold the content before the file is seen. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
        raise
