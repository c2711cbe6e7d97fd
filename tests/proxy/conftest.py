"""A made-up model, and a proxy in front of it; both for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from proxied import proxying
from served import Served
from upstream import Upstream, upstream


@pytest.fixture(scope="module")
def model() -> Iterator[Upstream]:
    """The model behind."""
    with upstream() as found:
        yield found


@pytest.fixture(scope="module")
def proxy(model: Upstream) -> Iterator[Served]:
    """A proxy as it is started without options."""
    with proxying(model.url) as found:
        yield found


@pytest.fixture
def client(proxy: Served) -> Iterator[httpx.Client]:
    """A plain client of that proxy."""
    with proxy.client() as found:
        yield found
