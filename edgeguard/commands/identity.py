"""What the last digits of a verdict depend on besides the model: settings and builds.

A resumed run compares it with that of the earlier run. This module compares nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from edgeguard._version import __version__
from edgeguard.session.settings import Settings


def computing(settings: Settings | None) -> dict[str, str]:
    """The settings, the build of llama.cpp and our version, each by its name for people."""
    from edgeguard.session.library import library_identity  # must not be loaded for `--help`

    used = {} if settings is None else asdict(settings)
    return {
        "the configuration": ", ".join(f"{name} {value}" for name, value in used.items()),
        "the build of llama.cpp": hashlib.sha256(library_identity().encode()).hexdigest(),
        "edgeguard": __version__,
    }
