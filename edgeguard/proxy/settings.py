"""What a proxy is started with. This module needs no extra."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edgeguard.errors import InputError
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.watch import INTERVAL

PORT = 8001
UPSTREAM_TIMEOUT = 600.0
"""Seconds that the upstream may be silent, as OpenAI's own clients wait."""
JUDGE_TIMEOUT = 60.0
"""Seconds that one pass of the guard may take before it counts as failed."""
MAX_BODY = 8 * 1024 * 1024
"""The most bytes of a request; conversations contain the results of tools."""
REFUSAL = "This cannot be shown: it was stopped by a content filter."
PROMPTS = ("parallel", "first")
BLOCKS = ("text", "error")


@dataclass(frozen=True)
class ProxySettings:
    """Where the upstream is, and how it is guarded. Raises InputError."""

    upstream: str
    upstream_key: str | None = field(default=None, repr=False)
    has_client_key: bool = False
    prompt: str = PROMPTS[0]
    block: str = BLOCKS[0]
    refusal: str = REFUSAL
    observe: bool = False
    fail_open: bool = False
    skip_media: bool = False
    interval: int = INTERVAL
    in_a_row: int = IN_A_ROW
    allow: frozenset[str] = frozenset()
    upstream_timeout: float = UPSTREAM_TIMEOUT
    judge_timeout: float = JUDGE_TIMEOUT
    audit_log: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.upstream)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise InputError("the upstream is no address: give it as in http://127.0.0.1:11434/v1")
        if parts.username or parts.password:
            raise InputError(
                "the upstream's address holds a password: set EDGEGUARD_UPSTREAM_KEY instead"
            )
        if self.upstream_key is not None and not re.fullmatch(r"[!-~]+", self.upstream_key):
            raise InputError("the upstream's key must be printable ASCII without spaces")
        if self.interval < 1:
            raise InputError(f"interval is {self.interval}; it must be at least 1 character")
        for name in self.allow:
            if not name or name.endswith("/"):
                raise InputError("--allow takes a path as /v1/files, or the name of a field")
        if self.in_a_row < 1:
            raise InputError(f"in_a_row is {self.in_a_row}; it must be at least 1 token")
        for name in ("upstream_timeout", "judge_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be a number of seconds above 0")

    def url(self, path: str) -> str:
        """The upstream's URL for one of our paths; its base URL may or may not end in /v1."""
        base = self.upstream.rstrip("/")
        if base.endswith("/v1"):
            base = base.removesuffix("/v1") if not path.startswith("/v1/") else base
            return base + (path.removeprefix("/v1") if base.endswith("/v1") else path)
        return base + path

    def allows(self, name: str) -> bool:
        """Whether a field or path that cannot be judged was allowed by name.

        A path is allowed with everything below it: /v1/files with /v1/files/file-1/content.
        """
        if not name.startswith("/"):
            return name in self.allow
        above = name.split("/")
        return any("/".join(above[:end]) in self.allow for end in range(2, len(above) + 1))
