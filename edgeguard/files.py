"""A small file put in place whole: a reader sees the old content or the new, never a part.

This module translates no error, and makes no promise for a power cut; edgeguard.store.store syncs
what must survive one.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


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
