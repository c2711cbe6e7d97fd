"""Checksums that are recorded at the first pull: what the hub states is held against what comes."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import hub as loopback
import pytest

from edgeguard.errors import DownloadError, StoreError
from edgeguard.store import recorded, registry
from edgeguard.store.paths import pins_folder
from edgeguard.store.registry import Offer, Probe, SourceFile

OFFER = Offer("gen-4b", loopback.REPO, None, (), (Probe("Hello", None),), random_weights=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_first_pull_records_and_says_so(
    hub: loopback.Hub, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = recorded.release_of(OFFER)
    assert {file.name: file.sha256 for file in found.files} == {
        name: digest(checkpoint / name) for name in loopback.FILES
    }
    assert found.revision == loopback.REVISION
    assert "no checksums of" in caplog.text and "hold from now on" in caplog.text
    asked = len(hub.requests)
    assert recorded.release_of(OFFER) == recorded.known(OFFER) == found
    assert len(hub.requests) == asked


def test_what_is_published_holds_from_the_beginning(hub: loopback.Hub) -> None:
    other = replace(OFFER, files=(SourceFile("model.safetensors", "0" * 64),))
    with pytest.raises(DownloadError, match=r"another model.safetensors than the published one"):
        recorded.release_of(other)
    with pytest.raises(DownloadError, match="the commit"):
        recorded.release_of(replace(OFFER, revision="1" * 40))
    assert hub.requests and recorded.known(OFFER) is None


@pytest.mark.parametrize(
    "stated",
    [
        {"sha": "main"},
        {"siblings": []},
        {"siblings": [{"rfilename": "config.json", "size": 1, "blobId": "0" * 40}]},
        {"siblings": [{"rfilename": "pytorch_model.bin", "size": 1, "blobId": "0" * 40}]},
    ],
)
def test_a_hub_that_states_something_else(hub: loopback.Hub, stated: dict[str, object]) -> None:
    hub.stated = stated
    with pytest.raises(DownloadError):
        recorded.release_of(OFFER)
    assert recorded.known(OFFER) is None


def test_a_hub_that_is_away(hub: loopback.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="could not be reached"):
        recorded.release_of(OFFER)
    assert hub.requests == []


@pytest.mark.parametrize("content", ["", "{}", '{"revision": "x", "files": []}', "[]"])
def test_a_record_that_is_damaged_is_not_written_anew(hub: loopback.Hub, content: str) -> None:
    pins_folder().mkdir(parents=True)
    (pins_folder() / "gen-4b.json").write_text(content)
    with pytest.raises(StoreError, match="remove it to trust the hub again"):
        recorded.release_of(OFFER)
    assert hub.requests == []


def test_the_rows_of_the_registry() -> None:
    assert registry.names() == (
        *("gen-0.6b", "gen-4b", "gen-8b", "stream-0.6b", "stream-4b", "stream-8b"),
    )
    for row in registry.OFFERS:
        assert row.revision is None or len(row.revision) == 40
        assert {probe.flagged for probe in row.probes} == {True, False}
        assert all(len(file.sha256) == 64 for file in row.files)
