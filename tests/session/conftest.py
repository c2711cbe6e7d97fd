"""Fixtures of the tests that look into the real session."""

from __future__ import annotations

import pytest

from edgeguard.session.context import Context


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass computes."""
    passes: list[int] = []
    decode = Context._decode

    def counted(self: Context, tokens: list[int], outputs: tuple[int, ...] = ()) -> None:
        passes.append(len(tokens))
        decode(self, tokens, outputs)

    monkeypatch.setattr(Context, "_decode", counted)
    return passes
