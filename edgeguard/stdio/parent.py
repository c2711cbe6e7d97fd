"""Leave when the parent is gone, however it went.

The end of stdin says so, but not if another process has the pipe's other end as well. So the
parent itself is watched. On Linux and macOS a process whose parent ends gets another one;
PR_SET_PDEATHSIG is not used, since it goes by the thread that started this process, and not by the
process. A parent that ends before this module looks is known only by its number, which it can give.

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
    """End this process soon after its parent, or after the process ``parent`` if one is given.

    What started this process for that one (a shell, a launcher) may end before it.
    """
    is_gone = _gone(parent)
    threading.Thread(target=_watch, args=(is_gone,), name="edgeguard-parent", daemon=True).start()


def _watch(is_gone: Callable[[], bool]) -> None:
    while not is_gone():
        time.sleep(_SECONDS)
    os._exit(0)


def _gone(parent: int | None) -> Callable[[], bool]:
    """A function that says whether the process that was named, or else the parent, has ended."""
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
            pass  # not in every container
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
