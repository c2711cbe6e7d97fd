"""How long OpenMP's threads spin at a barrier before they sleep.

llama.cpp's threads meet at some hundred barriers in each pass. libgomp lets them spin there for
milliseconds, which is fine on an otherwise idle machine. But if another program is computing, the
last thread may be waiting for a core while the others waste theirs on spinning, and a check takes 3
to 20 times as long (benchmarks/results/neighbours.md). A short spin avoids most of that, and costs
little on an idle machine.

libgomp reads its settings from environment variables when it is loaded, and has no function for
them. This module sets the variable for that moment only, and not if the user has set one of
OpenMP's variables.
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
    """Load libraries in this block, so that their OpenMP threads go to sleep soon."""
    if any(name in os.environ for name in _THE_USERS):
        yield
        return
    os.environ[_VARIABLE] = str(SPIN_COUNT)
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
