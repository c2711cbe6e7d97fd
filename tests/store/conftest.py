"""A hub on loopback and a small checkpoint, for the tests that fetch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hub as loopback
import pytest
from checkpoints import write_checkpoint
from reference import TEMPLATE

from edgeguard.store import hub as store_hub
from edgeguard.store import registry
from edgeguard.store.registry import Release


@pytest.fixture(autouse=True)
def _absent(no_home: None) -> None:
    """Nothing is installed at first, and there is no folder for it."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random checkpoint, as the hub serves it."""
    return write_checkpoint(
        tmp_path_factory.mktemp("checkpoint") / "small", hidden=64, ffn=256, template=TEMPLATE
    )


@pytest.fixture
def release(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """The small checkpoint in the place of gen-0.6b."""
    row = loopback.release_of(checkpoint)
    monkeypatch.setattr(registry, "RELEASES", (row,))
    return row


@pytest.fixture
def hub(
    checkpoint: Path,
    release: Release,  # noqa: ARG001 - what the hub serves is what the registry names
    isolation: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[loopback.Hub]:
    """A hub that serves it, in the place of huggingface.co for this process."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    with loopback.serve(checkpoint) as served:
        # The client read the environment when it was imported, before this test.
        values = {
            "ENDPOINT": served.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": served.endpoint
            + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(isolation / "huggingface" / "hub"),
            "HF_TOKEN_PATH": str(isolation / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DOWNLOAD_TIMEOUT": 1,
            "DOWNLOAD_CHUNK_SIZE": 1 << 14,
        }
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value)
            if hasattr(file_download, name):  # before 1.0 it has names of its own for them
                monkeypatch.setattr(file_download, name, value)
        # The client waits too, where it is told that it asks too often, and says nothing of it.
        for module in (file_download, _http):
            if hasattr(module, "time"):
                quick = SimpleNamespace(sleep=lambda _seconds: None, time=time.time)
                monkeypatch.setattr(module, "time", quick)
        monkeypatch.setattr(store_hub, "time", SimpleNamespace(sleep=served.waited.append))
        yield served
        _close_session()


def _close_session() -> None:
    """Close the client's connections, under the name of each of its versions."""
    import huggingface_hub

    close = getattr(huggingface_hub, "close_session", None)
    if close is not None:
        close()
    else:
        huggingface_hub.utils.reset_sessions()
