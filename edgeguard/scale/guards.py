"""One guard a process, made when the first rows come, with the processors of the engine's task.

A worker of an engine is a process that judges one partition after the other, often for several
tasks at a time. All of them share one guard. This module reads no rows.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgeguard.arguments import N_CTX
from edgeguard.guard import Guard
from edgeguard.session.settings import Threads


@dataclass(frozen=True)
class Options:
    """What a guard is made with; see edgeguard.guard.Guard."""

    model: str | None = None
    policy: str = "strict"
    threads: Threads = None
    n_ctx: int = N_CTX
    device: str = "auto"
    allow_random_weights: bool = False
    mapped_weights: bool = True
    category_probabilities: bool = False
    cache: str | None = None

    def load(self) -> Guard:
        """The guard. Raises what Guard does."""
        threads = given_threads() if self.threads is None else self.threads
        return Guard(**vars(replace(self, threads=threads)))


_guards: dict[tuple[int, Options], Guard] = {}
_making = threading.Lock()


def _after_fork() -> None:
    global _making
    _making = threading.Lock()  # another thread may have held it when this process was made


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def guard_of(options: Options) -> Guard:
    """This process's guard with these options. Raises what Guard does, at each call."""
    key = (os.getpid(), options)  # a guard does not survive a fork, and must not be freed after one
    with _making:
        if key not in _guards:
            _guards[key] = options.load()
        return _guards[key]


def given_threads() -> int:
    """The processors that the engine gave to this task; 1 where none says."""
    for engine, ask in _ENGINES.items():
        if engine in sys.modules and (found := ask()):
            return max(1, int(found))
    return 1


def _ray() -> float | None:
    import ray

    if not ray.is_initialized():
        return None
    resources: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    return resources.get("CPU")


def _spark() -> float | None:
    from pyspark import TaskContext

    context = TaskContext.get()
    return None if context is None else float(context.cpus())


def _dask() -> float | None:
    from distributed import get_worker

    try:
        # The tasks of a worker share the guard, and wait for each other: it may use all of it.
        return float(get_worker().state.nthreads)
    except ValueError:  # not in a worker
        return None


_ENGINES: dict[str, Callable[[], float | None]] = {
    "ray": _ray,
    "pyspark": _spark,
    "distributed": _dask,
}
"""By the module that an engine's worker has imported before it runs anything of ours."""
