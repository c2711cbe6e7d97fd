"""Tests that run in the environments of scripts/test-adapters; elsewhere none is collected."""

from __future__ import annotations

import os
from typing import Any

import pytest

collect_ignore_glob = [] if "EDGEGUARD_TEST_URL" in os.environ else ["*/test_*.py"]


@pytest.fixture(scope="session")
def url() -> str:
    """A server on the fake model."""
    return os.environ["EDGEGUARD_TEST_URL"]


@pytest.fixture(scope="session")
def proxy() -> str:
    """A proxy on the fake model, in front of ``upstream``."""
    return os.environ["EDGEGUARD_TEST_PROXY"]


@pytest.fixture(scope="session")
def upstream() -> str:
    """A made-up model's base URL (fake_upstream.py)."""
    return os.environ["EDGEGUARD_TEST_UPSTREAM"]


@pytest.fixture
def guard() -> Any:
    """A guard on the fake model (scripted.py)."""
    from scripted import scripted

    from edgeguard.async_guard import AsyncGuard
    from edgeguard.session.fake import FakeSession

    return AsyncGuard.with_session(FakeSession(scripted))
