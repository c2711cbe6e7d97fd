"""The optional packages behind `eval` and `calibrate`: there, or an error that names the extra.

This module loads nothing else.
"""

from __future__ import annotations

import importlib.util

from edgeguard.errors import InputError

_PACKAGES = {"sklearn": "scikit-learn", "scipy": "scipy", "matplotlib": "matplotlib"}


def require_extra() -> None:
    """Raises InputError where a package of the extra `eval` is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(_PACKAGES[name] for name in missing)
        raise InputError(
            f"this needs {names}, which edgeguard does not install by itself; type "
            'pip install "edgeguard[eval]"'
        )
