"""The folders of edgeguard: models, policies, and small files for its own use.

They are all in one folder: EDGEGUARD_HOME, or the platform's folder for application data. The
checkpoints that `edgeguard pull` fetches are elsewhere, in the Hugging Face cache (HF_HOME).

This module creates nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgeguard.errors import StoreError

HOME_VARIABLE = "EDGEGUARD_HOME"
_NAME = "edgeguard"


def home() -> Path:
    """The folder of edgeguard's own files, absolute; it need not exist.

    Raises StoreError if the user has no home folder and EDGEGUARD_HOME is not set.
    Sources: the XDG Base Directory Specification for XDG_DATA_HOME (a relative value is ignored),
    Apple's File System Programming Guide, and Microsoft's KNOWNFOLDERID for LocalAppData.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    try:
        folder = Path(chosen).expanduser() if chosen else _platform_data() / _NAME
    except RuntimeError as error:
        raise StoreError(
            f"no home folder is known for this user; set {HOME_VARIABLE} to a folder for the models"
        ) from error
    return folder.absolute()


def models_folder() -> Path:
    """The folder with one folder for each installed model."""
    return home() / "models"


def policies_folder() -> Path:
    """The folder with one TOML file for each saved policy."""
    return home() / "policies"


def checksums_folder() -> Path:
    """The folder of remembered checksums; it may be removed at any time."""
    return home() / "cache" / "sha256"


def prefix_folder() -> Path:
    """The folder of computed question prefixes; it may be removed at any time."""
    return home() / "cache" / "prefixes"


def trials_folder() -> Path:
    """The folder of outcomes of first tries (edgeguard.trial); it may be removed at any time."""
    return home() / "cache" / "trials"


def pins_folder() -> Path:
    """The folder of checksums recorded at a first pull."""
    return home() / "pins"


def tuning_folder() -> Path:
    """The folder of the settings that `edgeguard tune` found on this machine."""
    return home() / "tuning"


def _platform_data() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return data if data.is_absolute() else Path.home() / ".local" / "share"
