"""The differences between the supported versions of llama-cpp-python, in one place.

pyproject.toml says which versions are supported, and scripts/test-versions tries them. ctypes
silently accepts and loses an unknown field of a structure, so every field that a version may lack
is set here.
"""

from __future__ import annotations

import sys
from typing import Any


def library_version(lib: Any) -> str:
    """llama.cpp's own version; empty before llama-cpp-python 0.3.35, which cannot tell."""
    ask = getattr(lib, "llama_version", None)
    return ask().decode("utf-8", "replace") if ask else ""


def has_cells(state: bytes | bytearray | memoryview, number: int) -> bool:
    """Whether a sequence's state says that it has so many cells.

    Before 0.3.36, llama.cpp takes memory for as many as it says, before it finds that they are not
    there. Three numbers of 32 bits come first, in all versions.
    """
    return int.from_bytes(state[12:16], sys.byteorder) == number


def read_whole(lib: Any, params: Any) -> None:
    """Make llama.cpp read a model file instead of mapping it; 0.3.34 has another field for it."""
    mode = getattr(lib, "LLAMA_LOAD_MODE_NONE", None)
    if mode is None:
        params.use_mmap = False
    else:
        params.load_mode = mode


def bound_rows(params: Any, size: int) -> None:
    """Limit the bytes of rows held while quantizing; before 0.3.36 there is no limit."""
    if any(name == "max_buf_size" for name, _ in params._fields_):
        params.max_buf_size = size
