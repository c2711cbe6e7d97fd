"""Whether a file is what it was: by its status at once, and what to say where it is not.

This module reads no content.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import error as ZlibError

from edgeguard.errors import InputError

_MARKS = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


def untouched(path: str | Path, since: os.stat_result) -> bool:
    """Whether a name means the same file still, with its size and times."""
    try:
        now = Path(path).stat()
    except OSError:
        return False
    return all(getattr(now, mark) == getattr(since, mark) for mark in _MARKS)


def changed(name: str) -> InputError:
    """The error for a file that was another one in the middle of a run."""
    return InputError(
        f"{name} was changed while it was read: the verdicts are not those of any one file, and no "
        "result is made of them; remove what is left of the run, and start again on a copy"
    )


def changed_before(name: str) -> InputError:
    """The error for a run to be resumed whose first rows came from another file."""
    return InputError(
        f"{name} is not the file whose first rows were read: their verdicts belong to that one; "
        "remove what is left of the run, and start again on a copy"
    )


def changed_since(name: str) -> InputError:
    """The error for a file that was read whole and is another one now."""
    return InputError(
        f"{name} is not what it was when it was opened: the result belongs to what it was then"
    )


def grown(name: str) -> InputError:
    """The error for a file that was read as far as it went at first, and has more now."""
    return InputError(f"{name} has grown since it was opened: what was added is not in the result")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say of an input that cannot be read what it is and why: InputError."""
    try:
        yield
    except (OSError, EOFError, ZlibError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"cannot read {name}: {why}") from error
