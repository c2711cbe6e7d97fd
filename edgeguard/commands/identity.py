"""What the last digits of a verdict depend on besides the model: how, with what, and by whom.

A run that goes on compares it with what it was. This module compares nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from edgeguard._version import __version__
from edgeguard.session.settings import Settings


def computing(settings: Settings | None) -> dict[str, str]:
    """The settings, the build of llama.cpp and our version, by what they are to a person."""
    from edgeguard.session.library import library_identity  # not for `--help`

    used = {} if settings is None else asdict(settings)
    return {
        "the configuration": ", ".join(f"{name} {value}" for name, value in used.items()),
        "the build of llama.cpp": hashlib.sha256(library_identity().encode()).hexdigest(),
        "edgeguard": __version__,
    }
