"""A session that fails on one text, and on every text once it is broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeguard.errors import SessionError
from edgeguard.session.fake import FakeSession


class FailingSession(FakeSession):
    """Calls everything Safe; ``heavy`` in a text is too much for it."""

    broken = False

    def __init__(self) -> None:
        super().__init__(lambda _: "Safety: Safe\nCategories: None\nRefusal: No")

    def read(self, tokens: Sequence[int], **how: Any) -> Any:
        """Hold a question, or fail."""
        if self.broken or b"heavy" in bytes(token for token in tokens if token < 256):
            raise SessionError("llama.cpp could not compute")
        return super().read(tokens, **how)
