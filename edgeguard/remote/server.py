"""What the three kinds of server have in common: how one is asked, and how its answers are read.

This module speaks no server's language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgeguard.errors import SessionError
from edgeguard.remote.connection import Request
from edgeguard.remote.next_token import NextToken


class Server(Protocol):
    """One kind of server, and the model that it serves."""

    @property
    def kind(self) -> str:
        """``vllm``, ``sglang`` or ``llama-server``."""

    def tokenize(self, text: str) -> Request:
        """The server's own tokens of a text, special ones read as such."""

    def asks(self, tokens: Sequence[int], wanted: Sequence[int]) -> list[Request]:
        """How likely the wanted tokens are to follow: the next request where one does not do."""

    def read(self, answer: object, tokens: Sequence[int]) -> NextToken:
        """What an answer to one of them says. Raises SessionError."""


@dataclass(frozen=True)
class Served:
    """What a server says of the model that it serves.

    ``name`` is what requests call it, ``names`` all that is known of where it comes from; ``type``
    is its quantization, "" where that is not said; ``n_ctx`` the tokens of one question.
    """

    kind: str
    name: str
    names: tuple[str, ...]
    type: str
    n_ctx: int


def at(value: object, *path: str | int) -> object:
    """What stands at a place in an answer. Raises SessionError where there is nothing."""
    for key in path:
        inner: Any = value if isinstance(value, dict if isinstance(key, str) else list) else {}
        try:
            value = inner[key]
        except (KeyError, IndexError):
            raise missing(key) from None
    return value


def entries(value: object, *path: str | int) -> list[object]:
    """The list at a place in an answer. Raises SessionError."""
    found = at(value, *path)
    if not isinstance(found, list):
        raise missing(path[-1])
    return found


def missing(key: str | int) -> SessionError:
    """The error for an answer of another form."""
    return SessionError(
        f"the server's answer has no {key!r} where it belongs: see that it is a version of vLLM, "
        "SGLang or llama-server that docs/remote.md names"
    )


def check_count(found: object, tokens: Sequence[int]) -> None:
    """Raise SessionError unless the server read every token that it was sent."""
    if found != len(tokens):
        raise SessionError(
            f"the server read {found} tokens and was sent {len(tokens)}: it cuts questions short, "
            "or reads ids as something else"
        )


def ids(value: list[object]) -> list[int]:
    """A list of token ids. Raises SessionError."""
    found = [token for token in value if isinstance(token, int) and not isinstance(token, bool)]
    if len(found) < len(value):
        raise missing("tokens")
    return found
