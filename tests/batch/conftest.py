"""A guard without a model, whose verdict depends on the text, and who counts what it is asked."""

from __future__ import annotations

import pytest

from edgeguard import Guard
from edgeguard.session.fake import FakeSession

UNSAFE = "Safety: Unsafe\nCategories: Violent"
SAFE = "Safety: Safe\nCategories: None"


class Asked:
    """A fake guard, and the session that knows how often it was asked."""

    def __init__(self) -> None:
        self.session = FakeSession(_answer)
        self.guard = Guard.with_session(self.session)

    @property
    def times(self) -> int:
        """How many questions were read."""
        return len(self.session.reads)


def _answer(question: str) -> str:
    refusal = "\nRefusal: No" if "ASSISTANT: " in question else ""
    return (UNSAFE if "kettle" in question else SAFE) + refusal


@pytest.fixture
def asked() -> Asked:
    """A fake guard that finds kettles violent."""
    return Asked()
