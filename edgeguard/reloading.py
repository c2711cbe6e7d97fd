"""The model of a guard: loaded, or unloaded while idle and loaded again by the next call.

Everything here runs in the model's thread (edgeguard.session.thread), one call after the other. So
nothing is unloaded during a computation, and a call that comes during an unload waits and loads the
model again.

This module does not know how a model is loaded, or when it is idle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from edgeguard.loading import Loaded


class Model:
    """A model that is loaded whenever ``get`` is called."""

    def __init__(self, load: Callable[[], Loaded], load_again: Callable[[], Loaded]) -> None:
        """``load`` is called once; ``load_again`` loads the same model, or raises."""
        self._loaded: Loaded | None = None
        self._load = load
        self._load_again = load_again

    @property
    def is_loaded(self) -> bool:
        """Whether the model is loaded; may be called from any thread."""
        return self._loaded is not None

    def get(self) -> Loaded:
        """The model, loaded again if needed. Raises whatever loading raises."""
        if self._loaded is None:
            self._loaded, self._load = self._load(), self._load_again
        return self._loaded

    def unload(self) -> None:
        """Free the memory; calling it again does nothing."""
        if self._loaded is None:
            return
        try:
            self._loaded.session.close()
            _trim()
        finally:
            self._loaded = None  # set last: whoever sees it may rely on the memory being free


def _trim() -> None:
    """Have glibc return freed memory to the system; it would keep tens of megabytes."""
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
