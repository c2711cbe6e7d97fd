"""From a name to an installed model: fetch, convert, test, install. Only this module downloads.

A model is installed only after it has judged its release's test questions correctly. The download
stays in the hub's cache, so that another quantization type of the same model needs no second one.

This module does not know how a file is fetched (hub), converted (edgeguard.convert) or installed
(store).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edgeguard.console import Progress
from edgeguard.errors import InputError, ModelError, ModelNotFoundError, StoreError
from edgeguard.store import hub, hub_cache, recorded, registry, store
from edgeguard.store.hub import Stage
from edgeguard.store.manifest import MODEL, Manifest
from edgeguard.store.model_file import ModelFile, not_found, resolve
from edgeguard.store.paths import models_folder
from edgeguard.store.registry import DEFAULT_MODEL, DEFAULT_TYPE, Offer, Release
from edgeguard.store.store import candidates, install, locked, staging
from edgeguard.store.versions import version_of

if TYPE_CHECKING:
    from edgeguard.convert import Converted

_log = logging.getLogger(__name__)

_SPARE = 64 << 20
"""Bytes to leave free, since a completely full disk fails elsewhere."""


@dataclass(frozen=True)
class Pulled:
    """A pulled model: where it is, whether it is new, and the checkpoint it was made from."""

    model: ModelFile
    is_new: bool
    checkpoint: Path


@contextmanager
def _silent(_label: str) -> Iterator[Progress]:
    yield lambda _done, _total: None


def pull(
    name: str = DEFAULT_MODEL,
    *,
    type: str = DEFAULT_TYPE,  # noqa: A002 - the word of the command line and of convert()
    stage: Stage = _silent,
) -> Pulled:
    """Install an official model in a quantization type; does nothing if it is installed already.

    ``stage`` opens a progress bar for each step, as ``edgeguard.console.progress_bar`` does.
    Raises ModelNotFoundError (no such official model), InputError (no such type), DownloadError,
    ConversionError, ModelError (the result fails its test), StoreError (no space, or a folder that
    cannot be written), SessionError (llama.cpp cannot load it).
    """
    row = _row(name)
    _check_type(type)
    full_name = f"{row.name}-{type}"
    with locked(wait=True):
        is_new = not _is_intact(full_name)
        release = _release(row, ask=is_new)
        if is_new:
            _check_space(release)
            for file in release.files:
                hub.fetch(release, file, stage)
            _make(release, type, stage)
        return Pulled(resolve(full_name), is_new, hub_cache.snapshot(release))


def carry(name: str, folder: Path, *, type: str = DEFAULT_TYPE) -> ModelFile:  # noqa: A002
    """Copy an installed model into a folder, for an installer to ship; see store.carry.

    Raises ModelNotFoundError, ModelError (it is damaged), StoreError.
    """
    full_name = f"{_row(name).name}-{type}"
    with locked(wait=True):
        (model,) = candidates(full_name) or (None,)
        if model is None:
            raise not_found(full_name)
        model.verify()
        return resolve(store.carry(model, folder.absolute()).folder)


def _make(release: Release, kind: str, stage: Stage) -> None:
    from edgeguard.convert import Source, convert

    checkpoint, source = hub_cache.snapshot(release), Source(release.repo, release.revision)
    with staging() as folder:
        with stage(f"converting to {kind}") as progress:
            converted = convert(
                checkpoint, folder / MODEL, type=kind, source=source, progress=progress
            )
        _check_sources(release, converted)
        with stage("testing") as progress:
            _test(release, folder / MODEL, progress)
        install(folder, _manifest(release, converted))


def _check_sources(release: Release, converted: Converted) -> None:
    """Check that the converter read exactly the pinned files, with the pinned content."""
    pinned = {file.name: file.sha256 for file in release.files}
    for name, digest in converted.sources.items():
        if pinned.get(name) != digest:
            path = hub_cache.snapshot(release) / name
            raise ModelError(
                f"{path} is not one of the official files, so {release.name} is not installed; "
                "remove it, then type edgeguard pull"
            )


def _test(release: Release, path: Path, progress: Progress) -> None:
    """Ask the test questions; refuse a model that judges one of them otherwise."""
    from edgeguard.guard import Guard

    with Guard(path, allow_random_weights=release.random_weights) as guard:
        for number, probe in enumerate(release.probes, 1):
            verdict = guard.check(probe.text)
            if probe.flagged not in (None, verdict.flagged):
                raise ModelError(
                    f"{release.name} was converted but calls {probe.text!r} {verdict.severity}, so "
                    "it is not installed; type edgeguard doctor, and report what it says"
                )
            progress(number, len(release.probes))


def _manifest(release: Release, converted: Converted) -> Manifest:
    return Manifest(
        name=release.name,
        type=converted.type,
        sha256=converted.sha256,
        size=converted.size,
        repo=release.repo,
        revision=release.revision,
        sources={file.name: file.sha256 for file in release.files},
        edgeguard=version_of("edgeguard"),
        llama_cpp_python=version_of("llama-cpp-python"),
        installed=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _release(row: Release | Offer, *, ask: bool) -> Release:
    """The release with all of its checksums; ``ask``: fetch those not yet recorded from the hub."""
    if isinstance(row, Release):
        return row
    found = recorded.release_of(row) if ask else recorded.known(row)
    return found or Release(row.name, row.repo, row.revision or "main", (), row.probes)


def _row(name: str) -> Release | Offer:
    row = registry.find(name)
    if row is None:
        if name in registry.BUILT_INS:
            raise ModelNotFoundError(f"{name} is built in, there is nothing to pull")
        raise ModelNotFoundError(
            f"no official model is named {name!r}; there are: {', '.join(registry.names())}"
        )
    return row


def _check_type(kind: str) -> None:
    from edgeguard.convert import TYPES

    if kind not in TYPES:
        raise InputError(f"there is no type {kind!r}; there are: {', '.join(TYPES)}")


def _is_intact(full_name: str) -> bool:
    for model in candidates(full_name):
        try:
            model.verify()
            return True
        except ModelError as error:
            _log.warning("%s; it is made again", error)
    return False


def _check_space(release: Release) -> None:
    """Check before a long download that the disk has space for it and for the result.

    Besides its result, the converter may write an intermediate file of at most the checkpoint's
    size; the result is then at most half as large.
    """
    download, made = hub_cache.missing(release), release.size * 3 // 2
    cache, models = _existing(hub_cache.cache_folder()), _existing(models_folder())
    if cache.stat().st_dev == models.stat().st_dev:
        _need(models, download + made, "EDGEGUARD_HOME and HF_HOME")
    else:
        _need(cache, download, "HF_HOME")
        _need(models, made, "EDGEGUARD_HOME")


def _need(folder: Path, size: int, variable: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise StoreError(
            f"{folder} has {free / 1e9:.2f} GB free and {size / 1e9:.2f} GB are needed; free space "
            f"or set {variable} to another disk, then type edgeguard pull"
        )


def _existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent: both are on the same disk."""
    return next(path for path in (folder, *folder.parents) if path.exists())
