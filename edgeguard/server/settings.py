"""What a server is started with, and which settings are refused before anything is loaded.

This module needs no extra: `edgeguard serve --help` reads its defaults.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from dataclasses import dataclass, field

from edgeguard.errors import InputError, ServerError
from edgeguard.policy import Policy
from edgeguard.worker.limits import TIMEOUT

HOST = "127.0.0.1"
PORT = 8000
QUEUE = 64
"""Requests that may wait for the model; the next one is told to come back."""
MAX_BODY = 1024 * 1024
"""Bytes of a request's body: about 250,000 tokens of English, more than a small machine judges in
an hour."""
MAX_TEXTS = 2048
"""Texts in one request, as OpenAI's embeddings have it; what they may cost together is bounded in
tokens and seconds."""
OLLAMA_PORT = 11434
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True)
class Settings:
    """How a server is reached. Raises InputError for a value that makes no sense."""

    host: str = HOST
    port: int = PORT
    api_key: str | None = field(default=None, repr=False)
    without_key: bool = False
    allowed_hosts: tuple[str, ...] = ()
    queue: int = QUEUE
    max_body: int = MAX_BODY
    max_tokens: int | None = None
    timeout: float = TIMEOUT
    cors_origins: tuple[str, ...] = ()
    root_path: str = ""
    aliases: tuple[str, ...] = ()
    any_model: bool = False
    litellm_calls: int = 0
    log_format: str = LOG_FORMATS[0]
    exact: bool = False
    """Judge one text at a time, whatever waits."""
    policies: tuple[Policy, ...] = ()
    """What requests may name beside the guard's own policy."""

    def __post_init__(self) -> None:
        if not self.host:
            raise InputError("the host is empty; 127.0.0.1 is this machine, 0.0.0.0 everybody")
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}; ports are 1 to 65535, and 0 takes a free one")
        self._check_amounts()
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise InputError(
                "the API key must be printable ASCII without spaces, and not empty: it travels in "
                "a header"
            )
        self._check_names()

    def _check_amounts(self) -> None:
        if self.queue < 1:
            raise InputError(f"queue is {self.queue}; at least 1 request must be able to wait")
        if self.litellm_calls < 0:
            raise InputError(f"litellm-calls is {self.litellm_calls}; 0 keeps none")
        if self.max_body < 1024:
            raise InputError(f"max-body is {self.max_body}; it must be at least 1024 bytes")
        if self.max_tokens is not None and self.max_tokens < 512:
            raise InputError(
                f"max-tokens-per-request is {self.max_tokens}; the question alone needs 512 tokens"
            )
        if not (0 < self.timeout < math.inf):
            raise InputError(f"timeout is {self.timeout}; it must be a number of seconds above 0")

    def _check_names(self) -> None:
        for origin in self.cors_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s?#]+", origin):
                raise InputError(
                    f"{origin!r} is not an origin: give scheme, host and port, as in "
                    "https://app.example:8443"
                )
        for name in self.allowed_hosts:
            if not re.fullmatch(r"[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f:.]+\]?", name):
                raise InputError(
                    f"{name!r} is not a host's name: give it without scheme and port, as in "
                    "guard.example"
                )
        if self.root_path and not re.fullmatch(r"(/[\w.~-]+)+", self.root_path, re.ASCII):
            raise InputError(
                f"root-path is {self.root_path!r}; it must begin with / and not end with it, as "
                "in /guard"
            )


def check_reach(settings: Settings) -> None:
    """Refuse to serve other machines without a key, unless forced. Raises ServerError."""
    if settings.api_key is None and not settings.without_key and not is_loopback(settings.host):
        raise ServerError(
            f"{settings.host} can be reached from other machines, and there is no key: set "
            "EDGEGUARD_API_KEY, or serve this machine only (--host 127.0.0.1), or type "
            "--without-key if anyone who reaches it may use it"
        )


def is_loopback(host: str) -> bool:
    """Whether every address of a host is this machine's own. Raises ServerError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"there is no host {host!r} ({error}): check --host; 127.0.0.1 is this machine, "
            "0.0.0.0 everybody"
        ) from error
    addresses = [str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found]
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)
