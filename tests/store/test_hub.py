"""Fetching one file, from a hub that does everything wrong that a hub can do."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub import PAGE, REPO, REVISION, Fault, Hub, serve

from edgeguard.console import Progress
from edgeguard.errors import DownloadError, StoreError
from edgeguard.store import hub as store_hub
from edgeguard.store.hub import fetch
from edgeguard.store.hub_cache import missing, partial_path, snapshot
from edgeguard.store.registry import Release, SourceFile

BIG = "model.safetensors"
STEP = 1 << 14


class Stages:
    """Records the labels and the last progress of each."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, int]] = {}

    @contextmanager
    def __call__(self, label: str) -> Iterator[Progress]:
        def update(done: int, total: int) -> None:
            assert 0 <= done <= total
            self.seen[label] = (done, total)

        yield update


def _file(release: Release, name: str = BIG) -> SourceFile:
    return next(file for file in release.files if file.name == name)


def _fetch(release: Release, name: str = BIG) -> bytes:
    return fetch(release, _file(release, name), Stages()).read_bytes()


def _content(hub: Hub, name: str = BIG) -> bytes:
    return (hub.folder / name).read_bytes()


def _ranges(hub: Hub) -> list[str | None]:
    return [request.headers.get("range") for request in hub.gets(BIG)]


def test_a_file_is_fetched_once(hub: Hub, release: Release) -> None:
    stages = Stages()
    path = fetch(release, _file(release), stages)
    assert path == snapshot(release) / BIG
    assert path.read_bytes() == _content(hub)
    size = len(_content(hub))
    assert stages.seen == {f"fetching {BIG}": (size, size), f"checking {BIG}": (size, size)}
    assert _fetch(release) == _content(hub)
    assert len(hub.requests) == 1


def test_huggingface_hub_finds_it_too(hub: Hub, release: Release) -> None:
    from huggingface_hub import constants, hf_hub_download

    path = fetch(release, _file(release), Stages())
    cache = constants.HF_HUB_CACHE
    assert hf_hub_download(REPO, BIG, revision=REVISION, cache_dir=cache) == str(path)
    assert len(hub.gets(BIG)) == 1


def test_what_huggingface_hub_fetched_is_used(hub: Hub, release: Release) -> None:
    from huggingface_hub import constants, hf_hub_download

    hf_hub_download(REPO, BIG, revision=REVISION, cache_dir=constants.HF_HUB_CACHE)
    before = len(hub.requests)
    assert missing(release) == _file(release, "tokenizer.json").size
    assert _fetch(release) == _content(hub)
    assert len(hub.requests) == before


def test_only_the_file_is_asked_for_and_little_is_told(hub: Hub, release: Release) -> None:
    _fetch(release)
    (request,) = hub.requests
    assert request.path == f"/{REPO}/resolve/{REVISION}/{BIG}"
    assert request.headers["user-agent"].startswith("edgeguard/")
    assert "authorization" not in request.headers
    assert set(request.headers) <= {
        *("host", "accept", "connection", "user-agent", "accept-encoding", "x-amzn-trace-id"),
    }


def test_a_token_is_sent(hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    _fetch(release)
    assert hub.requests[0].headers["authorization"] == "Bearer hf_secret"


def test_a_cut_connection_is_continued(hub: Hub, release: Release) -> None:
    hub.faults[BIG] = [Fault(cut=3 * STEP), Fault(cut=STEP), Fault(cut=0)]
    assert _fetch(release) == _content(hub)
    assert _ranges(hub) == [None, *(f"bytes={n * STEP}-" for n in (3, 4, 4))]


def test_the_next_pull_goes_on_where_this_one_stopped(hub: Hub, release: Release) -> None:
    hub.faults[BIG] = [Fault(cut=5 * STEP)]
    hub.always[BIG] = Fault(cut=0)
    with pytest.raises(DownloadError, match="goes on where it stopped"):
        _fetch(release)
    partial = partial_path(release, _file(release))
    assert partial.read_bytes() == _content(hub)[: 5 * STEP]
    sizes = [file.size or 0 for file in release.files]
    assert missing(release) == sum(sizes) - 5 * STEP
    hub.always.clear()
    hub.requests.clear()
    assert _fetch(release) == _content(hub)
    assert _ranges(hub) == [f"bytes={5 * STEP}-"]
    assert not partial.exists()


def test_a_whole_partial_file_is_not_fetched_again(hub: Hub, release: Release) -> None:
    partial = partial_path(release, _file(release))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(_content(hub))
    assert _fetch(release) == _content(hub)
    assert hub.requests == []


def test_a_partial_file_with_other_bytes_is_thrown_away(hub: Hub, release: Release) -> None:
    partial = partial_path(release, _file(release))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(STEP))
    with pytest.raises(DownloadError, match="is not that file"):
        _fetch(release)
    assert not partial.exists()
    assert _fetch(release) == _content(hub)


def test_a_partial_file_that_is_too_long_starts_over(hub: Hub, release: Release) -> None:
    partial = partial_path(release, _file(release))
    partial.parent.mkdir(parents=True)
    partial.write_bytes(_content(hub) + b"x")
    assert _fetch(release) == _content(hub)
    assert _ranges(hub) == [None]


def test_a_hub_without_ranges_starts_over(hub: Hub, release: Release) -> None:
    hub.faults[BIG] = [Fault(cut=2 * STEP), Fault(ignore_range=True)]
    assert _fetch(release) == _content(hub)


def test_a_redirect_is_followed_without_the_token(
    hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serve(hub.folder) as elsewhere:
        elsewhere.endpoint, here = hub.endpoint, elsewhere.endpoint
        hub.endpoint = here
        hub.faults[BIG] = [Fault(redirect=True)]
        assert _fetch(release) == _content(hub)
        (request,) = elsewhere.requests
    assert request.path.startswith("/cdn/")
    assert "authorization" not in request.headers


def test_a_stalled_hub_is_left(hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.faults[BIG] = [Fault(cut=2 * STEP, stall=True)]
    assert _fetch(release) == _content(hub)
    assert _ranges(hub) == [None, f"bytes={2 * STEP}-"]


@pytest.mark.parametrize(
    ("status", "say"),
    [
        (401, "refuses access.*HF_TOKEN"),
        (403, "refuses access.*hf auth logout"),
        (404, "has no model.safetensors.*HF_ENDPOINT"),
        (416, "HTTP 416"),
        (501, "HTTP 501.*try again later"),
    ],
)
def test_a_refusal_says_what_to_type(hub: Hub, release: Release, status: int, say: str) -> None:
    hub.always[BIG] = Fault(status=status)
    with pytest.raises(DownloadError, match=say) as caught:
        _fetch(release)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert len(hub.requests) == 1


def _long(waited: list[float]) -> list[float]:
    """Without the second after a cut connection, which some versions of the client wait for us."""
    return [seconds for seconds in waited if seconds != 1]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_hub_that_is_busy_is_given_time(
    hub: Hub, release: Release, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hub.faults[BIG] = [Fault(status=status)] * 3 + [Fault(cut=STEP)] + [Fault(status=status)] * 2
    assert _fetch(release) == _content(hub)
    assert _long(hub.waited) == [2, 4, 8, 2, 4]  # after some bytes it begins anew
    assert f"the hub is busy (HTTP {status} for {BIG}); asking again in 2 s (1 of 5)" in caplog.text
    assert _ranges(hub) == [None] * 4 + [f"bytes={STEP}-"] * 3


@pytest.mark.parametrize("status", [500, 503])
def test_patience_has_an_end(hub: Hub, release: Release, status: int) -> None:
    hub.faults[BIG] = [Fault(cut=STEP)]
    hub.always[BIG] = Fault(status=status)
    with pytest.raises(DownloadError, match=f"HTTP {status}.*goes on where it stopped") as caught:
        _fetch(release)
    assert "\n" not in str(caught.value)
    assert _long(hub.waited) == [2, 4, 8, 16, 32]
    hub.always.clear()
    assert _fetch(release) == _content(hub)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999999", 120),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 120),
        ("soon", 2),
        ("-1", 2),
    ],
)
def test_the_hub_says_when(hub: Hub, release: Release, asked: str, waits: float) -> None:
    hub.faults[BIG] = [Fault(status=503, retry_after=asked)]
    assert _fetch(release) == _content(hub)
    assert hub.waited == [waits]


def test_too_many_requests(hub: Hub, release: Release) -> None:
    """The client tries this one again by itself; so many times that we do, too."""
    hub.faults[BIG] = [Fault(status=429)] * 8
    assert _fetch(release) == _content(hub)


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT to send")
def test_a_wait_can_be_ended(hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_hub, "time", time)
    hub.always[BIG] = Fault(status=503, retry_after="100")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        _fetch(release)


def test_an_endless_small_file_does_not_fill_the_disk(
    hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_hub, "MOST_UNKNOWN", 100_000)
    hub.faults["config.json"] = [Fault(body=bytes(1_000_000))]
    with pytest.raises(DownloadError, match=r"more than 100,000 bytes for config\.json"):
        _fetch(release, "config.json")
    partial = partial_path(release, _file(release, "config.json"))
    assert partial.stat().st_size <= 100_000 + STEP
    assert _fetch(release, "config.json") == _content(hub, "config.json")


def test_wrong_bytes_of_the_right_length_are_refused(hub: Hub, release: Release) -> None:
    hub.faults[BIG] = [Fault(body=_content(hub)[::-1])]
    with pytest.raises(DownloadError, match=r"sha256.*nothing is kept"):
        _fetch(release)
    assert list(snapshot(release).parent.glob("**/*")) == []
    assert not partial_path(release, _file(release)).exists()
    assert _fetch(release) == _content(hub)


@pytest.mark.parametrize("name", ["config.json", BIG])
def test_a_web_page_is_called_one(hub: Hub, release: Release, name: str) -> None:
    hub.faults[name] = [Fault(body=PAGE)]
    with pytest.raises(DownloadError, match="it is a web page: a proxy or a login"):
        _fetch(release, name)
    assert _fetch(release, name) == _content(hub, name)


def test_an_endless_answer_does_not_fill_the_disk(hub: Hub, release: Release) -> None:
    hub.faults[BIG] = [Fault(body=bytes(len(_content(hub)) * 4))]
    with pytest.raises(DownloadError, match="more than"):
        _fetch(release)
    assert partial_path(release, _file(release)).stat().st_size <= len(_content(hub)) + STEP
    assert _fetch(release) == _content(hub)


def test_damage_in_the_cache_is_mended(
    hub: Hub, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetch(release, _file(release), Stages())
    path.write_bytes(bytes(10))
    assert _fetch(release) == _content(hub)
    assert "damaged" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_damage_behind_a_link_is_mended_and_removed(hub: Hub, release: Release) -> None:
    from huggingface_hub import constants, hf_hub_download

    path = Path(hf_hub_download(REPO, BIG, revision=REVISION, cache_dir=constants.HF_HUB_CACHE))
    blob = path.resolve()
    assert path.is_symlink()
    blob.write_bytes(bytes(10))
    assert _fetch(release) == _content(hub)
    assert not blob.exists()
    assert not path.is_symlink()


def test_offline_uses_what_is_there(
    hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    _fetch(release)
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert _fetch(release) == _content(hub)
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE is set.*unset it"):
        _fetch(release, "config.json")
    assert hub.requests == []


def test_no_hub_at_all(hub: Hub, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    template = "http://127.0.0.1:1/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(DownloadError, match=r"could not be reached.*check the network"):
        _fetch(release)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "nonsense{filename}")
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        _fetch(release)
    assert hub.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.usefixtures("hub")
def test_a_full_disk_is_not_the_hubs_fault(release: Release) -> None:
    partial = partial_path(release, _file(release))
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"No space left on device.*HF_HOME"):
        _fetch(release)
    assert not (snapshot(release) / BIG).exists()


def test_a_cache_that_cannot_be_written(hub: Hub, release: Release, isolation: Path) -> None:
    (isolation / "huggingface").write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot be written.*HF_HOME"):
        _fetch(release)
    assert hub.requests == []


def test_a_cache_that_cannot_be_written_can_be_read(
    hub: Hub, release: Release, isolation: Path
) -> None:
    _fetch(release)
    locks = isolation / "huggingface" / "hub" / ".locks"
    for path in sorted(locks.glob("**/*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    locks.rmdir()
    locks.write_bytes(b"no lock can be made")
    assert _fetch(release) == _content(hub)


def test_the_hubs_own_settings_are_left_as_they_were(hub: Hub, release: Release) -> None:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    logger = logging.getLogger("huggingface_hub")
    before = logger.level, are_progress_bars_disabled("huggingface_hub.http_get")
    hub.always[BIG] = Fault(status=501)
    with pytest.raises(DownloadError):
        _fetch(release)
    assert (logger.level, are_progress_bars_disabled("huggingface_hub.http_get")) == before


def test_nothing_is_said(hub: Hub, release: Release, capfd: pytest.CaptureFixture[str]) -> None:
    hub.faults[BIG] = [Fault(cut=2 * STEP)]
    _fetch(release)
    assert capfd.readouterr() == ("", "")
