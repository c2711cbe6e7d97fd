"""The arguments of a guard and of its calls: which values make sense, and what is said otherwise.

It knows no model and no policy.
"""

from __future__ import annotations

import os
import threading

from edgeguard.errors import InputError
from edgeguard.session.settings import BACKGROUND, MAX_THREADS, Threads

DEVICES = ("auto", "cpu")
N_CTX = 8192
"""Tokens of one window unless told: about 30,000 characters of English. Each token of context costs
112 KiB with the 0.6B model while it is in use."""


def check_options(model: object, threads: Threads, n_ctx: int, device: str) -> None:
    """Check what a guard is made with. Raises InputError."""
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise InputError(f"model is {type(model).__name__}; it must be a name or a path")
    if threads not in (None, BACKGROUND) and not _is_whole(threads, 1, MAX_THREADS):
        raise InputError(
            f"threads is {threads!r}; it must be at least 1 and at most {MAX_THREADS}, "
            f"or {BACKGROUND!r}"
        )
    if not _is_whole(n_ctx, 512, None):
        raise InputError(f"n_ctx is {n_ctx!r}; the question alone needs 512 tokens")
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}; there are: {', '.join(DEVICES)}")


def check_watch(interval: int, in_a_row: int) -> None:
    """Check how a response is watched. Raises InputError."""
    if not _is_whole(interval, 1, None):
        raise InputError(f"interval is {interval!r}; it must be at least 1 character")
    if not _is_whole(in_a_row, 1, None):
        raise InputError(f"in_a_row is {in_a_row!r}; it must be at least 1 token")


def seconds_of(value: float, name: str = "timeout") -> float:
    """A time that makes sense. Raises InputError."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise InputError(f"{name} is {value!r}; it must be a number of seconds above 0")
    return float(min(value, threading.TIMEOUT_MAX / 2))  # the system waits no longer


def _is_whole(value: object, least: int, most: int | None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and least <= value and (most is None or value <= most)  # type: ignore[operator]
