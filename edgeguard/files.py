"""Files replaced atomically, and files read without the risk of blocking.

A reader sees the old content or the new, never a part of it. This module does not translate errors,
and promises nothing about power cuts; edgeguard.store.store syncs what must survive one.
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
    """Open a regular file to read it; a folder, pipe or device is an OSError, without a wait."""
    handle = os.open(path, os.O_RDONLY | _NO_WAITING | _BINARY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int) -> bytearray:
    """The content of a regular file, up to a number of bytes. Raises OSError."""
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
    """Replace a file atomically, and create its folder if needed; leaves no temporary files behind.

    ``sync``: sync the content to the disk before the file appears. Raises OSError.
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
