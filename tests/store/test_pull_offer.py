"""From the name of a Stream that nobody has pinned to an installed model, in one pull."""

from __future__ import annotations

from pathlib import Path

import hub as loopback
import pytest
from checkpoints import write_checkpoint
from reference import DATA

from edgeguard import DownloadError, Guard
from edgeguard.pulling import pull
from edgeguard.store import registry, resolve
from edgeguard.store.paths import pins_folder
from edgeguard.store.registry import Offer, Probe, Release


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stream in the place of the small Gen that other tests fetch."""
    template = (DATA / "conversation.jinja").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("checkpoint") / "small"
    return write_checkpoint(folder, hidden=64, ffn=256, inner=32, template=template)


@pytest.fixture
def offer(release: Release, monkeypatch: pytest.MonkeyPatch) -> Offer:  # noqa: ARG001
    row = Offer(
        "stream-0.6b", loopback.REPO, None, (), (Probe("Hello", None),), random_weights=True
    )
    monkeypatch.setattr(registry, "OFFERS", (row,))
    return row


def test_a_stream_is_pulled_converted_and_installed(hub: loopback.Hub, offer: Offer) -> None:
    pulled = pull(offer.name, type="q8_0")
    assert pulled.is_new and pulled.model.full_name == "stream-0.6b-q8_0"
    asked_of = [{"role": "user", "content": "Hello"}]
    with (
        Guard("stream-0.6b", threads=1, allow_random_weights=True) as guard,
        guard.watch(asked_of) as watch,
    ):
        watch.feed("It is Paris. ")
        assert watch.labels
    asked = len(hub.requests)
    again = pull(offer.name, type="q8_0")
    assert not again.is_new and again.checkpoint == pulled.checkpoint
    assert len(hub.requests) == asked  # nothing is asked of the hub for what is installed
    assert resolve("stream-0.6b").sha256


def test_a_hub_that_sends_other_weights_later_is_found_out(
    hub: loopback.Hub, offer: Offer, checkpoint: Path
) -> None:
    """What the first pull recorded holds, though nothing of it is left in the cache."""
    hub.always["model.safetensors"] = loopback.Fault(status=404)
    with pytest.raises(DownloadError):
        pull(offer.name)
    assert (pins_folder() / "stream-0.6b.json").exists()
    whole = (checkpoint / "model.safetensors").read_bytes()
    other = whole[:-2] + bytes([whole[-2] ^ 1, whole[-1]])
    hub.always["model.safetensors"] = loopback.Fault(body=other)
    with pytest.raises(DownloadError, match="is not that file"):
        pull(offer.name)


def test_a_larger_one_in_two_files_as_the_4b_and_the_8b(
    hub: loopback.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their shape; each shard is held against the checksum that the hub states for it."""
    template = (DATA / "conversation.jinja").read_text(encoding="utf-8")
    folder = write_checkpoint(
        tmp_path / "c", hidden=64, ffn=256, inner=80, shards=2, tied=False, template=template
    )
    shards = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(shards) == 2 and (folder / "model.safetensors.index.json").exists()
    monkeypatch.setattr(loopback, "LARGE", ("tokenizer.json", *shards))
    row = Offer("stream-8b", loopback.REPO, None, (), (Probe("Hello", None),), random_weights=True)
    monkeypatch.setattr(registry, "OFFERS", (row,))
    hub.folder = folder
    hub.faults[shards[1]] = [loopback.Fault(body=b"other weights")]
    with pytest.raises(DownloadError, match="is not that file"):
        pull(row.name, type="q8_0")
    pulled = pull(row.name, type="q8_0")
    assert pulled.is_new and pulled.model.full_name == "stream-8b-q8_0"
