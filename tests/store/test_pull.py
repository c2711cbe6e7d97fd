"""Pulling a model: all of it works, or nothing is installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_models import install_fake
from hub import REPO, REVISION, Fault, Hub

import edgeguard.convert
import edgeguard.guard
from edgeguard import Guard
from edgeguard.console import Progress
from edgeguard.convert import Converted
from edgeguard.errors import (
    ConversionError,
    DownloadError,
    InputError,
    ModelError,
    ModelNotFoundError,
    StoreError,
)
from edgeguard.pulling import pull
from edgeguard.store import paths, registry, resolve
from edgeguard.store.hub_cache import snapshot
from edgeguard.store.manifest import MANIFEST, MODEL
from edgeguard.store.registry import Probe, Release
from edgeguard.store.store import installed


def _models() -> list[str]:
    return sorted(path.name for path in paths.models_folder().iterdir() if path.name != ".lock")


class FakeGuard:
    """Judges every text the same way."""

    flagged = False
    texts: tuple[str, ...] = ()

    def __init__(self, path: Path, *, allow_random_weights: bool) -> None:
        assert Path(path).is_file()
        assert allow_random_weights

    def __enter__(self) -> FakeGuard:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def check(self, text: str) -> Any:
        FakeGuard.texts += (text,)
        verdict = type("Verdict", (), {})()
        verdict.flagged, verdict.severity = self.flagged, "Unsafe" if self.flagged else "Safe"
        return verdict


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, release: Release) -> type[FakeGuard]:
    """A converter that copies and a guard that answers: what lies between is tested here."""

    def convert(checkpoint: Path, out: Path, *, type: str, **_: object) -> Converted:  # noqa: A002
        sources = {file.name: file.sha256 for file in release.files}
        shutil.copyfile(checkpoint / "model.safetensors", out)
        return Converted(out, type, out.stat().st_size, sources["model.safetensors"], sources)

    monkeypatch.setattr(edgeguard.convert, "convert", convert)
    monkeypatch.setattr(edgeguard.guard, "Guard", FakeGuard)
    monkeypatch.setattr(FakeGuard, "texts", ())
    return FakeGuard


@pytest.mark.usefixtures("hub")
def test_pulled_and_asked(release: Release) -> None:
    """The whole way, nothing replaced but the checkpoint."""
    stages: list[str] = []

    @contextmanager
    def stage(label: str) -> Iterator[Progress]:
        stages.append(label)
        yield lambda _done, _total: None

    pulled = pull(type="q8_0", stage=stage)
    assert pulled.is_new
    assert pulled.model == resolve()
    assert pulled.checkpoint == snapshot(release)
    assert stages[-2:] == ["converting to q8_0", "testing"]
    with Guard(allow_random_weights=True) as guard:
        assert guard.model.name == "gen-0.6b"
        assert guard.model.type == "q8_0"
        assert guard.model.sha256 == pulled.model.sha256
        guard.check("Hello")
    (model,) = installed()
    model.verify()
    assert sorted(path.name for path in model.folder.iterdir()) == [MANIFEST, MODEL]
    manifest = json.loads((model.folder / MANIFEST).read_text())
    assert manifest["repo"] == REPO
    assert manifest["revision"] == REVISION
    assert manifest["sources"] == {file.name: file.sha256 for file in release.files}


def test_pulling_again_does_nothing(hub: Hub, fakes: object) -> None:
    first = pull()
    hub.requests.clear()
    again = pull()
    assert (again.model, again.is_new) == (first.model, False)
    assert hub.requests == []
    assert fakes


@pytest.mark.usefixtures("fakes")
def test_another_type_needs_no_second_download(hub: Hub) -> None:
    pull()
    hub.requests.clear()
    pull(type="q8_0")
    assert hub.requests == []
    assert _models() == ["gen-0.6b-q4_k_m", "gen-0.6b-q8_0"]


@pytest.mark.usefixtures("fakes", "hub")
def test_a_damaged_model_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    path = pull().model.path
    path.write_bytes(b"damaged")
    assert pull().is_new
    assert path.stat().st_size > 100
    assert "made again" in caplog.text
    (path.parent / MANIFEST).write_text("{")
    assert pull().is_new


def test_a_cut_download_then_another_pull(hub: Hub, fakes: object) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=1 << 15)]
    hub.always["model.safetensors"] = Fault(cut=0)
    with pytest.raises(DownloadError):
        pull()
    assert _models() == []
    hub.always.clear()
    hub.requests.clear()
    assert pull().is_new
    assert [r.headers.get("range") for r in hub.requests] == [f"bytes={1 << 15}-"]
    assert fakes


@pytest.mark.parametrize("flagged", [True, False])
def test_a_model_that_judges_wrongly_is_not_installed(
    hub: Hub, fakes: type[FakeGuard], flagged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = (Probe("capital", flagged=False), Probe("bomb", flagged=True))
    row = replace(registry.RELEASES[0], probes=probes)
    monkeypatch.setattr(registry, "RELEASES", (row,))
    monkeypatch.setattr(fakes, "flagged", flagged)
    with pytest.raises(ModelError, match="so it is not installed"):
        pull()
    assert _models() == []
    assert fakes.texts == (("capital",) if flagged else ("capital", "bomb"))
    assert hub.requests


def test_the_official_model_has_probes_of_both_kinds() -> None:
    for row in registry.RELEASES:
        assert {probe.flagged for probe in row.probes} == {True, False}


def test_the_official_rows_are_pinned() -> None:
    for row in registry.RELEASES:
        assert len(row.revision) == 40
        names = [file.name for file in row.files]
        assert all(Path(name).suffix in (".json", ".safetensors") for name in names)
        assert all(
            "/" not in name and len(file.sha256) == 64 for name, file in zip(names, row.files)
        )
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("error", [ConversionError("no"), KeyboardInterrupt(), MemoryError()])
def test_a_failed_conversion_leaves_nothing(
    hub: Hub, fakes: object, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def convert(_checkpoint: Path, out: Path, **_: object) -> None:
        out.write_bytes(b"half")
        raise error

    monkeypatch.setattr(edgeguard.convert, "convert", convert)
    with pytest.raises(type(error)):
        pull()
    assert _models() == []
    assert hub.requests
    assert fakes


def test_a_file_that_is_not_pinned_is_not_converted(
    hub: Hub, fakes: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file planted in the cache, which the converter would read beside the official ones."""
    whole = edgeguard.convert.convert

    def convert(*args: Any, **options: Any) -> Converted:
        done = whole(*args, **options)
        return replace(done, sources={**done.sources, "chat_template.jinja": "0" * 64})

    monkeypatch.setattr(edgeguard.convert, "convert", convert)
    with pytest.raises(ModelError, match=r"chat_template.jinja is not one of the official files"):
        pull()
    assert _models() == []
    assert hub.requests
    assert fakes


@pytest.mark.usefixtures("fakes")
def test_a_small_disk_is_noticed_before_the_download(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(
        StoreError, match=r"0\.00 GB free and 0\.\d\d GB are needed.*edgeguard pull"
    ):
        pull()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("call", "error", "say"),
    [
        (lambda: pull("nano"), ModelNotFoundError, "built in"),
        (lambda: pull("gen-99b"), ModelNotFoundError, "there are: gen-0.6b"),
        (lambda: pull("../x"), ModelNotFoundError, "no official model"),
        (lambda: pull(type="q9"), InputError, "there are: bf16, .*q4_k_m"),
        (lambda: pull(type="../x"), InputError, "there is no type"),
    ],
)
def test_what_cannot_be_pulled(
    call: Callable[[], object], error: type[Exception], say: str, hub: Hub
) -> None:
    with pytest.raises(error, match=say):
        call()
    assert hub.requests == []
    assert not paths.home().exists()


@pytest.mark.usefixtures("fakes")
def test_a_home_that_cannot_be_written(hub: Hub, isolation: Path) -> None:
    (isolation / "edgeguard").write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError, match="EDGEGUARD_HOME"):
        pull()
    assert hub.requests == []


@pytest.mark.usefixtures("fakes")
def test_what_a_dead_process_left_is_removed(hub: Hub) -> None:
    install_fake(kind="q8_0")
    (paths.models_folder() / ".tmp-dead").mkdir()
    (paths.models_folder() / ".tmp-dead" / "model.gguf").write_bytes(b"half")
    pull()
    assert _models() == ["gen-0.6b-q4_k_m", "gen-0.6b-q8_0"]
    assert hub.requests
