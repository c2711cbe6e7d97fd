"""What a Qwen3Guard-Stream needs of a loaded model beyond the session's common interface.

LlamaSession implements it too; FakeStreamSession follows a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from edgeguard.session.interface import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class States(Protocol):
    """One sequence of tokens in a context of its own, and the hidden states asked for."""

    def read(self, tokens: Sequence[int], first: int) -> NDArray[np.float32]:
        """Hold exactly these tokens; returns the states after the final norm from ``first`` on.

        They are float32 of the shape (len(tokens) - first, hidden). Tokens before ``first`` that
        are held already are not computed again. Raises SessionError, CancelledError.
        """

    def free(self) -> None:
        """Free the memory; calling it again does nothing."""


class StreamSession(Session, Protocol):
    """A loaded model that returns hidden states."""

    @property
    def hidden(self) -> int:
        """The size of a state, in values."""

    def metadata(self, key: str) -> str | None:
        """A text from the file's header; None if it has no such key."""

    def hidden_states(self) -> States:
        """A new, empty context. The session frees it at the latest when it is closed."""
