"""The hub's cache on this disk: where a release's files are, and how they are locked.

A complete file is where huggingface_hub looks for it; a partial one is beside the hub's blobs,
under a name of ours. Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache

This module does not fetch, and does not know whether a file is the right one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeguard.errors import StoreError
from edgeguard.store.registry import Release, SourceFile

GO_ON = "edgeguard pull goes on where it stopped"


def cache_folder() -> Path:
    """The hub's cache, as HF_HOME and HF_HUB_CACHE say."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def snapshot(release: Release) -> Path:
    """The folder of the release's files in the hub's cache."""
    return _repository(release) / "snapshots" / release.revision


def partial_path(release: Release, file: SourceFile) -> Path:
    """Where a partial file is kept until the rest has come."""
    return _repository(release) / "blobs" / f"{file.sha256}.edgeguard.incomplete"


def missing(release: Release) -> int:
    """How many bytes of the release are still to be fetched, as far as the sizes are known."""
    sizes = 0
    for file in release.files:
        if not (snapshot(release) / file.name).is_file():
            sizes += max((file.size or 0) - size_of(partial_path(release, file)), 0)
    return sizes


def size_of(path: Path) -> int:
    """The size of a file, 0 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


@contextmanager
def one_at_a_time(release: Release, file: SourceFile) -> Iterator[None]:
    """Hold the lock that huggingface_hub holds for this file, under the same name."""
    from filelock import FileLock

    locks = cache_folder() / ".locks" / _repository(release).name
    lock = FileLock(locks / f"{file.sha256}.lock")
    with writing(locks):
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def drop_blob(target: Path) -> None:
    """Remove damaged content behind a link in the cache; the hub would only link it again."""
    if target.is_symlink():
        blob = target.resolve()
        if blob.parent == target.parent.parent.parent.resolve() / "blobs":
            blob.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into a StoreError that names the path."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{path} cannot be written ({reason}); free space or set HF_HOME to another folder, "
            f"then {GO_ON}"
        ) from error


def _repository(release: Release) -> Path:
    return cache_folder() / f"models--{release.repo.replace('/', '--')}"
