"""The model of a guard: in memory, or given back while nobody asks and loaded again at a call.

Everything here runs in the model's thread (edgeguard.session.thread), one call after the other. So
nothing is unloaded under a computation, and a call that comes meanwhile waits and loads again.

This module does not know how a model is loaded, nor when it is idle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from edgeguard.loading import Loaded


class Model:
    """A model that ``get`` has in memory whenever it is asked for."""

    def __init__(self, load: Callable[[], Loaded], load_again: Callable[[], Loaded]) -> None:
        """``load`` is called once; ``load_again`` loads the same, or raises why it cannot."""
        self._loaded: Loaded | None = None
        self._load = load
        self._load_again = load_again

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory; from any thread."""
        return self._loaded is not None

    def get(self) -> Loaded:
        """The model, loaded again if need be. Raises what loading raises."""
        if self._loaded is None:
            self._loaded, self._load = self._load(), self._load_again
        return self._loaded

    def unload(self) -> None:
        """Give the memory back; twice is once."""
        if self._loaded is None:
            return
        try:
            self._loaded.session.close()
            _trim()
        finally:
            self._loaded = None  # only now: who looks finds the memory given back


def _trim() -> None:
    """Have glibc give back what was freed: it keeps tens of megabytes to itself."""
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
