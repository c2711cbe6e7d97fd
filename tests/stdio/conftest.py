"""The real child on nano, shared by the tests that only ask it things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stdio_client import Child


@pytest.fixture
def child() -> Iterator[Child]:
    """A child of its own for each test, not initialized: that is when it loads."""
    with Child() as child:
        yield child
