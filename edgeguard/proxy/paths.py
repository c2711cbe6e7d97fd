"""The paths of requests: which one a client means, what it is called in logs, what would allow it.

It does not decide what is passed on.
"""

from __future__ import annotations

import re

from edgeguard.proxy.requests import FORMS

OWN = ("/health", "/livez", "/metrics")
MODELS = "/v1/models"


def meant(path: str) -> str:
    """The path that clients mean: with /v1 twice or missing, or with a slash too many."""
    path = "/" + "/".join(part for part in path.split("/") if part)
    while path.startswith("/v1/v1/"):
        path = path.removeprefix("/v1")
    return f"/v1{path}" if f"/v1{path}" in FORMS else path


def top(path: str) -> str:
    """The path to allow: its beginning, without any ids."""
    found = re.match(r"(?:/v1)?/[a-z_]{1,40}(?:/[a-z_]{1,40})?(?=/|$)", path)
    return found[0] if found else "and its path"


def label(path: str) -> str:
    """The name of a path in logs and metrics."""
    return path if path in FORMS or path in OWN or path == MODELS else "other"
