"""The output file of a conversion: checked in advance, written under another name, then renamed.

The scratch file is beside its target (a rename must not cross disks), as .NAME.RANDOM.part. It is
always removed; one left by a killed process is removed by the next conversion to the same target.
An existing file is never overwritten.

This module does not know what is in the file.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from edgeguard.convert.files import sha256
from edgeguard.errors import ConversionError

try:
    import fcntl
except ImportError:  # not on Windows, where an open file cannot be deleted anyway
    fcntl = None  # type: ignore[assignment]


def check(target: Path, checkpoint: Path) -> None:
    """Raise ConversionError if `target` cannot become a new file."""
    if target.is_dir():
        name = f"{checkpoint.resolve().name}.gguf"
        raise ConversionError(f"{target} is a folder; name a file, such as {target / name}")
    if os.path.lexists(target):
        raise _taken(target)
    if not target.parent.is_dir():
        raise ConversionError(
            f"there is no folder {target.parent} to put {target.name} in; make it first"
        )


def check_space(target: Path, needed: int) -> None:
    """Raise ConversionError if the disk has less than `needed` bytes free."""
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise ConversionError(
            f"{target.parent} has {_size(free)} free, and the conversion needs {_size(needed)}; "
            "free some space, or write to another disk"
        )


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """A new empty file beside `target`, removed at the end unless it was published."""
    sweep(target)
    path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with translated(target):
        file = path.open("xb")
    try:
        _lock(file)
        yield path
    finally:
        file.close()
        with suppress(OSError):
            path.unlink()


@contextmanager
def translated(target: Path) -> Iterator[None]:
    """Turn an OSError while writing into a ConversionError that names `target`'s folder."""
    try:
        yield
    except OSError as error:
        raise _unwritable(target, error) from error


def seal(path: Path) -> tuple[int, str]:
    """Sync `path` to the disk; return its size in bytes and its sha256."""
    with translated(path), path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, sha256(path)


def publish(path: Path, target: Path) -> None:
    """Give the finished file its name in one step, unless the name was taken meanwhile."""
    with translated(target):
        try:
            os.link(path, target)  # a link fails if the name exists; a rename would overwrite it
        except FileExistsError as error:
            raise _taken(target) from error
        except OSError as error:  # a file system without hard links
            if os.path.lexists(target):
                raise _taken(target) from error
            path.rename(target)
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Sync the new name to the disk; systems that cannot open a folder do not need it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(target: Path) -> None:
    """Remove scratch files of this target that no process holds a lock on."""
    prefix = f".{target.name}."
    with suppress(OSError):
        for path in target.parent.iterdir():
            if path.name.startswith(prefix) and path.name.endswith(".part"):
                with suppress(OSError), _unheld(path):
                    path.unlink()


@contextmanager
def _unheld(path: Path) -> Iterator[None]:
    """Raises OSError if a living process holds the file."""
    if getattr(fcntl, "flock", None) is None:  # Windows does not remove a file that is open
        yield
        return
    with path.open("rb") as file:
        _lock(file)
        yield


def _lock(file: BinaryIO) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _taken(target: Path) -> ConversionError:
    return ConversionError(f"{target} exists already; remove it, or choose another name")


def _unwritable(target: Path, error: OSError) -> ConversionError:
    folder = target.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ConversionError(f"the disk of {folder} is full; free some space, then try again")
    if error.errno == errno.EFBIG:
        return ConversionError(f"{folder} takes no file this large; write to another disk")
    why = error.strerror or str(error)
    return ConversionError(f"{folder} cannot be written: {why}; choose another folder for --out")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
