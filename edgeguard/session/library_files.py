"""The files of llama.cpp's library, found and told apart without loading them.

A library that was built for another processor ends the process that loads it, so what is asked
before a first try (edgeguard.trial) must not load it. This module does not either.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path


@cache
def library_files() -> tuple[str, ...]:
    """Each file with its size and time, which a new build changes; empty where there are none."""
    folder = library_folder()
    if folder is None or not folder.is_dir():
        return ()
    found = ((file, file.stat()) for file in sorted(folder.iterdir()))
    return tuple(f"{file.name} {at.st_size} {at.st_mtime_ns}" for file, at in found)


def library_folder() -> Path | None:
    """Where llama-cpp-python looks for the library; None where it is not installed."""
    chosen = os.environ.get("LLAMA_CPP_LIB_PATH")
    if chosen:
        return Path(chosen)
    spec = importlib.util.find_spec("llama_cpp")
    return Path(spec.origin).parent / "lib" if spec is not None and spec.origin else None
