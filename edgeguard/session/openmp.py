"""How long OpenMP's threads spin at a barrier before they sleep.

llama.cpp's threads meet at some hundred barriers a pass. libgomp lets them spin there for
milliseconds, which is fine on a machine that does nothing else. Beside another program that
computes, the thread that holds the others up waits for a core, and the others burn theirs
meanwhile: a check takes 3 to 20 times as long (benchmarks/results/neighbours.md). A short spin
costs little alone and spares most of that.

libgomp reads the variable when it is loaded, and offers no function for it. This module sets it
for that moment only, and not where the user has set one of OpenMP's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPIN_COUNT = 1000
_VARIABLE = "GOMP_SPINCOUNT"
_THE_USERS = (_VARIABLE, "OMP_WAIT_POLICY")


@contextmanager
def patient() -> Iterator[None]:
    """Load libraries in this block whose OpenMP threads shall sleep soon."""
    if any(name in os.environ for name in _THE_USERS):
        yield
        return
    os.environ[_VARIABLE] = str(SPIN_COUNT)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
