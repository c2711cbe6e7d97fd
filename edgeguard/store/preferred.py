"""Which type of a model a bare name means, if `edgeguard tune` found one to be the fastest.

Each name has a file with one line under EDGEGUARD_HOME. A preferred type that is no longer
installed is ignored. This module measures nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgeguard.errors import EdgeguardError, StoreError
from edgeguard.files import replace_text
from edgeguard.store.paths import tuning_folder


def preferred(name: str) -> str | None:
    """The full name that a bare name means; None if there is no preference."""
    return _read().get(name)


def prefer(name: str, full_name: str) -> None:
    """Make a bare name mean this type. Raises StoreError if that cannot be written."""
    path = _file()
    try:
        replace_text(path, json.dumps({**_read(), name: full_name}))
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror or error})") from error


def _file() -> Path:
    return tuning_folder() / "preferred.json"


def _read() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, EdgeguardError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: full for name, full in found.items() if isinstance(full, str)}
