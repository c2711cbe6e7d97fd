"""Fixtures of the tests that look into the real session."""

from __future__ import annotations

import pytest

from edgeguard.session.context import Context


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass computes."""
    passes: list[int] = []
    compute = Context._compute

    def counted(self: Context, tokens: list[int]) -> object:
        passes.append(len(tokens))
        return compute(self, tokens)

    monkeypatch.setattr(Context, "_compute", counted)
    return passes
