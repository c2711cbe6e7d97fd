"""The versions of edgeguard and of the packages it depends on, as recorded by the installation.

Reading them imports none of the packages, so it works even if one of them cannot be imported.
"""

from __future__ import annotations

import importlib.metadata

MISSING = "not installed"


def version_of(package: str) -> str:
    """The installed version of a package, or MISSING."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return MISSING
