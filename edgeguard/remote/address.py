"""Where a server is, and the key to it: what a person writes after --model, checked.

No error and no log shows a key. This module asks nobody.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from edgeguard.errors import InputError

KEY_VARIABLE = "EDGEGUARD_MODEL_KEY"
_FORM = "http://host:8000/v1"


@dataclass(frozen=True)
class Address:
    """A server's address without the ``/v1`` at its end, and the key that it is given."""

    root: str
    key: str | None = field(default=None, repr=False)


def address(url: str) -> Address:
    """What a URL says. Raises InputError, which shows nothing of a password in it."""
    try:
        parts = urlsplit(url.strip())
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InputError(f"the model's address is no URL; it has the form {_FORM}") from None
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"the model's address holds a name or a password: put the key into {KEY_VARIABLE}"
        )
    if not good or parts.query or parts.fragment:
        raise InputError(f"the model's address is {url!r}; it has the form {_FORM}")
    return Address(f"{parts.scheme.lower()}://{parts.netloc}{_path(parts)}", _key())


def _path(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    if path.endswith(("/completions", "/generate", "/completion")):
        raise InputError(f"the model's address ends in {path}; leave that out, as in {_FORM}")
    return path.removesuffix("/v1")


def _key() -> str | None:
    key = os.environ.get(KEY_VARIABLE)
    if key is None:
        return None
    if not re.fullmatch(r"[!-~]+", key):
        raise InputError(f"{KEY_VARIABLE} must be a key: printable ASCII characters, no spaces")
    return key
