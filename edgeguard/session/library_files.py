"""The files of llama.cpp's library, found and identified without loading them.

A library built for another processor ends the process that loads it, so edgeguard.trial must know
the files before its first try. This module never loads them.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from functools import cache
from pathlib import Path

_PIP = (
    "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python "
    "llama-cpp-python"
)
_WITHOUT_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


def rebuild_command() -> str:
    """The command that builds the library for this machine.

    On x86-64 it is built without AMX, which GCC compiles wrong. A clone's scripts/build-llama-cpp
    works around that and keeps AMX.
    """
    if platform.machine() != "x86_64" or os.name == "nt":
        return _PIP
    return f'CFLAGS="{_WITHOUT_AMX}" CXXFLAGS="{_WITHOUT_AMX}" {_PIP}'


@cache
def library_files() -> tuple[str, ...]:
    """Each file with its size and time, which change with a new build; empty if there are none."""
    folder = library_folder()
    if folder is None or not folder.is_dir():
        return ()
    found = ((file, file.stat()) for file in sorted(folder.iterdir()))
    return tuple(f"{file.name} {at.st_size} {at.st_mtime_ns}" for file, at in found)


def backend_files(folder: Path) -> tuple[Path, ...]:
    """The back ends for families of processors; none in a build for one processor."""
    return tuple(sorted(file for file in folder.glob("*ggml-cpu-*") if file.is_file()))


def library_folder() -> Path | None:
    """Where llama-cpp-python looks for the library; None if it is not installed."""
    chosen = os.environ.get("LLAMA_CPP_LIB_PATH")
    if chosen:
        return Path(chosen)
    spec = importlib.util.find_spec("llama_cpp")
    return Path(spec.origin).parent / "lib" if spec is not None and spec.origin else None
