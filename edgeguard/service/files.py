"""Files of services: private, written atomically, and restored if an installation fails.

This module does not know what is in them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edgeguard.errors import ServiceError
from edgeguard.files import replace_text


def config_folder() -> Path:
    """The user's folder for settings, by the XDG Base Directory Specification."""
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".config"


def write_private(file: Path, text: str) -> None:
    """Write a file that only the user can read. Raises ServiceError."""
    try:
        replace_text(file, text)  # atomically, through a temporary file that is private
    except OSError as error:
        raise ServiceError(f"cannot write {file}: {error.strerror or error}") from error


def remove_empty(*folders: Path) -> None:
    """Remove empty folders, the innermost first."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class Written:
    """Restores the previous files, unless ``keep`` is called."""

    def __init__(self, *files: Path) -> None:
        self._before = {file: self._content(file) for file in files}
        self._kept = False

    @staticmethod
    def _content(file: Path) -> str | None:
        return file.read_text(encoding="utf-8") if file.exists() else None

    def keep(self) -> None:
        """Keep the new files."""
        self._kept = True

    def __enter__(self) -> Written:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the previous files."""
        if self._kept:
            return
        for file, content in self._before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                write_private(file, content)
