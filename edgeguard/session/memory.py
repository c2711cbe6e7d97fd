"""Checks that memory is available before native code allocates it.

llama.cpp and OpenBLAS end the process if a small allocation of theirs fails, the latter with exit
code 1. So an anonymous mapping of the needed size is made and dropped first, which takes no time
and touches no page. It fails where address space (ulimit -v) or committed memory (Windows) is
limited; it cannot tell when physical memory runs out and the system kills a process.

This module knows nothing of models.
"""

from __future__ import annotations

import mmap

from edgeguard.errors import SessionError

MIB = 1 << 20
LIBRARIES = 160 * MIB
"""Memory that numpy's and llama.cpp's libraries need, including their own buffers."""
SPARE = 96 * MIB
"""Memory that llama.cpp needs besides weights and KV cache: vocabulary, graphs, buffers."""


def check_room(size: int, purpose: str) -> None:
    """Raise SessionError unless ``size`` bytes are available now."""
    try:
        mmap.mmap(-1, max(size, 1)).close()
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise not_enough(purpose, size) from error


def not_enough(purpose: str, size: int | None = None) -> SessionError:
    """The error for missing memory."""
    needs = f" ({size / 1e6:.0f} MB)" if size else ""
    return SessionError(
        f"there is not enough memory {purpose}{needs}: end other programs, raise the limit of this "
        "process (ulimit -v), or choose a smaller model file or --n-ctx"
    )


def is_about_memory(message: str) -> bool:
    """Whether an error message of a native library says that an allocation failed."""
    said = message.lower()
    return any(word in said for word in ("bad_alloc", "memory", "failed to allocate"))
