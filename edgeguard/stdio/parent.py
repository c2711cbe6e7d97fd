"""Ends this process when its parent is gone, however that ended.

The end of stdin usually shows that, but not if another process holds the pipe's other end as well.
So the parent itself is watched. On Linux and macOS, a process whose parent ends gets another
parent; PR_SET_PDEATHSIG is not used, since it depends on the thread that started this process, not
on the process. If the parent may end before this module first looks, it can pass its process id.

This module does not know what the process does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

_SECONDS = 0.2


def leave_with(parent: int | None) -> None:
    """End this process soon after its parent, or after the process ``parent`` if given.

    Whatever started this process on its behalf (a shell, a launcher) may then end earlier.
    """
    is_gone = _gone(parent)
    threading.Thread(target=_watch, args=(is_gone,), name="edgeguard-parent", daemon=True).start()


def _watch(is_gone: Callable[[], bool]) -> None:
    while not is_gone():
        time.sleep(_SECONDS)
    os._exit(0)


def _gone(parent: int | None) -> Callable[[], bool]:
    """A function that says whether the given process, or else the parent, has ended."""
    first = os.getppid()
    if sys.platform == "win32":
        return _windows(parent or first)
    named = _named(parent) if parent is not None else lambda: False
    if parent not in (None, first):
        return named
    return lambda: os.getppid() != first or named()


def _named(process: int) -> Callable[[], bool]:
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            return lambda: True
        except OSError:
            pass  # not available in every container
        else:
            return lambda: _readable(handle)
    return lambda: not _exists(process)


def _readable(handle: int) -> bool:
    import select

    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _windows(process: int) -> Callable[[], bool]:
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - only there
    handle = kernel.OpenProcess(0x00100000, False, process)  # SYNCHRONIZE
    if not handle:
        return lambda: True
    return lambda: kernel.WaitForSingleObject(handle, 0) == 0
