"""The sha256 of a file's content. This module remembers nothing and translates no error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from edgeguard.files import open_regular

CHUNK = 1 << 20


def sha256_of(path: Path, advance: Callable[[int], None] = lambda _count: None) -> str:
    """The sha256 in lower-case hex; `advance` is called with the size of each block read.

    Raises OSError, which the caller has to translate.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()
