"""Results as files: whole or not at all, and known to be writable before hours of judging.

This module does not know what it writes.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeguard.errors import InputError, OutputError

STDOUT = "-"


def check_writable(*files: str | None) -> None:
    """Raises InputError where a result could not be written, or two would be the same file."""
    named = [file for file in files if file is not None]
    if len({Path(file).absolute() for file in named}) < len(named):
        raise InputError(f"{named[0]} is named for two results; name two files")
    for file in named:
        path = Path(file)
        if file == STDOUT:
            continue
        if path.is_dir() or not path.name:
            raise InputError(f"{file!r} is a folder; name a file in it")
        if not path.absolute().parent.is_dir():
            raise InputError(f"there is no folder {path.parent} for {path.name}; make it first")
        if not os.access(path.absolute().parent, os.W_OK):
            raise InputError(f"{path.absolute().parent} cannot be written; choose another folder")


def write(file: str, text: str) -> None:
    """Write a result, in place of what was there; `-` is standard output.

    Raises OutputError where the file cannot be written.
    """
    if file == STDOUT:
        click.echo(text, nl=False)
        return
    path = Path(file).absolute()
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {file}: {error.strerror or error}") from error
