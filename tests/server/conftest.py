"""A server on a fake session, and the built-in model as a real process; both for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from command_line import CommandLine
from served import Process, Served, process, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server whose model finds unsafe what says so."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    """A client of it."""
    with served.client() as found:
        yield found


@pytest.fixture(scope="session")
def nano_server() -> Iterator[Process]:
    """`edgeguard serve --model nano`."""
    with process("--model", "nano") as found:
        yield found


@pytest.fixture
def edgeguard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Commands in this process."""
    return CommandLine(capsys, monkeypatch)
