"""Whether a file is unchanged, by its status, and the errors if it is not.

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
    """Whether a name still means the same file, with the same size and times."""
    try:
        now = Path(path).stat()
    except OSError:
        return False
    return all(getattr(now, mark) == getattr(since, mark) for mark in _MARKS)


def changed(name: str) -> InputError:
    """The error for a file that changed during a run."""
    return InputError(
        f"{name} was changed while it was read: the verdicts are not those of any one file, and no "
        "result is made of them; remove what is left of the run, and start again on a copy"
    )


def changed_before(name: str) -> InputError:
    """The error for a resumed run whose first rows came from another file."""
    return InputError(
        f"{name} is not the file whose first rows were read: their verdicts belong to that one; "
        "remove what is left of the run, and start again on a copy"
    )


def changed_since(name: str) -> InputError:
    """The error for a file that has changed since it was read to the end."""
    return InputError(
        f"{name} is not what it was when it was opened: the result belongs to what it was then"
    )


def grown(name: str) -> InputError:
    """The error for a file that was read to its original end and has grown since."""
    return InputError(f"{name} has grown since it was opened: what was added is not in the result")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn an error while reading an input into an InputError that names it."""
    try:
        yield
    except (OSError, EOFError, ZlibError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"cannot read {name}: {why}") from error
