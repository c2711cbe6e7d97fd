"""What a Qwen3Guard-Stream needs of a loaded model besides what any does (interface).

LlamaSession has this shape too, and FakeStreamSession follows a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from edgeguard.session.interface import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class States(Protocol):
    """One sequence of tokens in a context of its own, and the hidden states of those asked for."""

    def read(self, tokens: Sequence[int], first: int) -> NDArray[np.float32]:
        """Hold exactly these tokens; the states after the final norm from ``first`` on.

        Returns float32 of the shape (len(tokens) - first, hidden). What the tokens have in common
        with those held is not computed again, as far as ``first``. Raises SessionError,
        CancelledError.
        """

    def free(self) -> None:
        """Give the memory back; calling it again does nothing."""


class StreamSession(Session, Protocol):
    """A loaded model that gives hidden states."""

    @property
    def hidden(self) -> int:
        """How many values a state has."""

    def metadata(self, key: str) -> str | None:
        """A text in the file's header; None where it has no such key."""

    def hidden_states(self) -> States:
        """A new, empty context. The session frees it at the latest when it is closed."""
