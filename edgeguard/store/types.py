"""The quantization type of a GGUF file, in the words of llama.cpp.

This module knows no type by itself: the package gguf, which llama.cpp's authors publish, does.
"""

from __future__ import annotations

from collections.abc import Mapping


def type_name(metadata: Mapping[str, object]) -> str:
    """The type that a file's header names (general.file_type), such as q4_k_m, or "unknown"."""
    from gguf.constants import LlamaFileType

    number = metadata.get("general.file_type")
    if not isinstance(number, int) or number not in set(LlamaFileType):
        return "unknown"
    return LlamaFileType(number).name.lower().removeprefix("mostly_").removeprefix("all_")
