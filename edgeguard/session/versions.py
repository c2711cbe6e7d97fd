"""What differs between the versions of llama-cpp-python that are allowed: the one place that knows.

pyproject.toml says which are allowed, and scripts/test-versions tries them. ctypes takes an
unknown field of a structure without a word and loses it, so every field that a version may lack is
set here.
"""

from __future__ import annotations

from typing import Any


def library_version(lib: Any) -> str:
    """llama.cpp's own version; empty before llama-cpp-python 0.3.35, which cannot ask for it."""
    ask = getattr(lib, "llama_version", None)
    return ask().decode("utf-8", "replace") if ask else ""


def read_whole(lib: Any, params: Any) -> None:
    """Have a model file read and not mapped; 0.3.34 says so in another field."""
    mode = getattr(lib, "LLAMA_LOAD_MODE_NONE", None)
    if mode is None:
        params.use_mmap = False
    else:
        params.load_mode = mode


def bound_rows(params: Any, size: int) -> None:
    """Hold at most so many bytes of rows while quantizing; before 0.3.36 there is no bound."""
    if any(name == "max_buf_size" for name, _ in params._fields_):
        params.max_buf_size = size
