"""The one rule for results files: a result is a new, complete file, or it is not there.

No command overwrites an input, the model, or anything else that exists; it says so before the work
begins. A file gets its name in one step at the end, after it was synced to the disk, and that step
fails if the name has been taken meanwhile. Before a command resumes a file, the module that knows
its content checks that the file belongs to this run.

This module does not know what it writes.
"""

from __future__ import annotations

import ntpath
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PureWindowsPath

import click

from edgeguard.errors import InputError, OutputError

STDOUT = "-"


def check_outputs(
    outputs: Mapping[str, str | None],
    inputs: Mapping[str, str | Path] | None = None,
    own: Mapping[str, str | None] | None = None,
) -> None:
    """Check that each result can be written as a new file, before anything is computed.

    All three map what the user calls a file, such as ``--json`` or ``the model``, to its path.
    Those in ``own`` may exist, to be resumed. Raises InputError.
    """
    named = {
        option: file for option, file in {**outputs, **(own or {})}.items() if file is not None
    }
    _check_apart(named)
    for option, file in named.items():
        if file == STDOUT:
            continue
        for what, other in (inputs or {}).items():
            if same_file(file, other):
                raise InputError(
                    f"{what} and {option} are the same file: give the result another name"
                )
        _check_place(file)
        if option in outputs and os.path.lexists(file):
            raise InputError(f"{file} exists: remove it, or give another {option}")


def check_folder(folder: Path) -> None:
    """Check that files can be written to a folder of ours, which is created if needed.

    For results that take long to compute and are kept there. Raises OutputError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}): set EDGEGUARD_HOME to "
            "another folder"
        ) from error


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths are the same file, through links too."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False


def write_new(file: str, text: str) -> None:
    """Write a result as a new file, completely or not at all; `-` is standard output.

    Raises OutputError.
    """
    if file == STDOUT:
        click.echo(text, nl=False)
        return
    path = Path(file)
    made = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    with writing(path):
        try:
            made.write_text(text, encoding="utf-8", newline="\n")
            publish(made, path)
        finally:
            with suppress(OSError):
                made.unlink(missing_ok=True)


def publish(made: Path, path: Path) -> None:
    """Give a finished file its final name. Raises OutputError, also if the name is taken."""
    with writing(path):
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        try:
            os.link(made, path)  # a link fails if the name exists; a rename would overwrite it
        except FileExistsError as error:
            raise _taken(path) from error
        except OSError as error:  # a file system without hard links
            if os.path.lexists(path):
                raise _taken(path) from error
            made.replace(path)
        else:
            made.unlink()
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into an OutputError that names the file and the reason."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def is_reserved(file: str) -> bool:
    """Whether Windows takes a name for a device, or for part of a file (``name:stream``)."""
    name = ntpath.basename(ntpath.splitdrive(file)[1])
    if sys.version_info >= (3, 13):
        return ntpath.isreserved(name)
    return ":" in name or name.endswith((".", " ")) or PureWindowsPath(name).is_reserved()


def _taken(path: Path) -> OutputError:
    return OutputError(f"{path} exists now and did not at the start: nothing is written over it")


def _check_apart(named: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for option, file in named.items():
        path = Path(file)
        # The file may not exist yet, or be a link, so its folder identifies it. Windows ignores the
        # case of names.
        key = file if file == STDOUT else os.path.normcase(path.parent.resolve() / path.name)
        if key in seen:
            raise InputError(f"{file} is named for two results, {seen[key]} and {option}")
        seen[key] = option
    files = [(option, file) for option, file in named.items() if file != STDOUT]
    for number, (option, file) in enumerate(files):
        for other, another in files[:number]:
            if same_file(file, another):
                raise InputError(f"{other} and {option} are the same file: name two")


def _check_place(file: str) -> None:
    path = Path(file)
    folder = path.absolute().parent
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{file!r} cannot be a file's name here ({reason}); choose another"
        ) from error
    if is_folder or not path.name:
        raise InputError(f"{file!r} is a folder; name a file in it")
    if os.name == "nt" and is_reserved(file):
        raise InputError(
            f"{file!r} is no file's name on Windows (NUL, CON, a colon); choose another"
        )
    if not folder.is_dir():
        raise InputError(f"there is no folder {path.parent} for {path.name}; make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {folder} cannot be written; choose another")
