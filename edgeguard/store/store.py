"""The models folder: one folder per installed model, added and removed as a whole.

A model appears and disappears by a single rename of its folder, so a reader never sees half of it.
Names that start with a dot are ours: the lock, and the leftovers of dead processes, which the next
holder of the lock removes.

This module does not download, convert, or look inside a model's file.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeguard.errors import ModelError, ModelNotFoundError, StoreError
from edgeguard.store.checksum import compute_sha256, file_sha256
from edgeguard.store.manifest import MANIFEST, MODEL, Manifest, is_name, read_manifest
from edgeguard.store.paths import models_folder

_log = logging.getLogger(__name__)

_LOCK = ".lock"
_TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class Installed:
    """A model's folder, with its manifest or the problem with the manifest."""

    folder: Path
    manifest: Manifest | None
    problem: ModelError | None = None

    @property
    def full_name(self) -> str:
        """The folder's name, which always identifies the model."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The model's file."""
        return self.folder / MODEL

    @property
    def described(self) -> Manifest:
        """The manifest; raises ModelError if it is damaged."""
        if self.manifest is None:
            raise self.problem or ModelError(f"{self.full_name} has no manifest")
        return self.manifest

    def is_a(self, name: str) -> bool:
        """Whether it is some type of the model of that name."""
        if self.manifest is not None:
            return self.manifest.name == name
        return self.full_name.startswith(f"{name}-")

    def check(self) -> None:
        """Check that the file is the one installed; it is read only if its stamp has changed.

        Raises ModelError if it is not, StoreError if it cannot be read.
        """
        self._compare(file_sha256)

    def verify(self) -> None:
        """Read the whole file and compare its sha256 with the manifest.

        Raises ModelError if it differs, StoreError if it cannot be read.
        """
        self._compare(compute_sha256)

    def _compare(self, sha256_of: Callable[[Path], str]) -> None:
        manifest = self.described
        try:
            size = self.path.stat().st_size
        except FileNotFoundError as error:
            raise self._damaged("its file is missing") from error
        except OSError as error:
            raise _failed(f"{self.path} cannot be read", error) from error
        if size != manifest.size:
            raise self._damaged(f"{size:,} bytes instead of {manifest.size:,}")
        if sha256_of(self.path) != manifest.sha256:
            raise self._damaged("its sha256 is not the recorded one")

    def _damaged(self, reason: str) -> ModelError:
        name = self.full_name
        if self.folder.parent != models_folder():
            return ModelError(f"{self.folder} is damaged ({reason}); copy it once more")
        return ModelError(
            f"{name} is damaged ({reason}); edgeguard rm {name}, then edgeguard pull {self._again}"
        )

    @property
    def _again(self) -> str:
        return f"{self.described.name} --type {self.described.type}"


def installed() -> tuple[Installed, ...]:
    """Every model in the models folder, by name. Raises StoreError if it cannot be read."""
    folder = models_folder()
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _failed(f"the models folder {folder} cannot be read", error) from error
    return tuple(open_folder(folder / name) for name in names if is_name(name))


def candidates(name: str) -> tuple[Installed, ...]:
    """The installed models that a name means: the one of that full name, or all types of it."""
    found = installed()
    exact = tuple(model for model in found if model.full_name == name)
    return exact or tuple(model for model in found if model.is_a(name))


@contextmanager
def locked(*, wait: bool) -> Iterator[None]:
    """Lock the models folder for changes, and remove what dead processes left there.

    The lock is the operating system's, so it ends with its process. Raises StoreError if the
    folder cannot be written, or if it is locked and ``wait`` is false.
    """
    from filelock import FileLock, Timeout

    folder = models_folder()
    lock = FileLock(folder / _LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            if not wait:
                raise StoreError(
                    f"another edgeguard is changing {folder}; try again when it has finished"
                ) from error
            _log.warning("waiting for another edgeguard pull to finish")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise _failed(f"the models folder {folder} cannot be written", error) from error
    try:
        _remove_leftovers(folder)
        yield
    finally:
        lock.release()


@contextmanager
def staging() -> Iterator[Path]:
    """A temporary folder to make a model in; always removed afterwards.

    Requires the lock. Raises StoreError if it cannot be created.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=models_folder()))
        # mkdtemp gives access to the owner only; a model may be shared like any other file.
        folder.chmod(0o777 & ~_umask())
    except OSError as error:
        raise _failed(f"{models_folder()} cannot be written", error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install(staged: Path, manifest: Manifest) -> Installed:
    """Move a staged folder, with its model file, to its final place; returns the model.

    Requires the lock. A model of the same full name is replaced. Raises StoreError.
    """
    target = models_folder() / manifest.full_name
    try:
        (staged / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        for path in (staged / MODEL, staged / MANIFEST, staged):
            _sync(path)
        if os.path.lexists(target):
            _discard(target)
        staged.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise _failed(
            f"{manifest.full_name} cannot be installed in {target.parent}", error
        ) from error
    return open_folder(target)


def carry(model: Installed, folder: Path) -> Installed:
    """Copy an intact model into another folder, under its full name; returns the copy.

    An existing copy is replaced. Raises StoreError.
    """
    target = folder / model.full_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as work:
            staged = Path(work) / model.full_name
            shutil.copytree(model.folder, staged)
            if os.path.lexists(target):
                target.rename(Path(work) / "old")
            staged.rename(target)
    except OSError as error:
        raise _failed(f"{model.full_name} cannot be copied to {folder}", error) from error
    return open_folder(target)


def remove(full_name: str) -> None:
    """Remove an installed model.

    Raises ModelNotFoundError if there is none of that name, StoreError if another process has
    locked the models folder or it cannot be removed.
    """
    folder = models_folder() / full_name
    if not is_name(full_name) or not os.path.lexists(folder):
        raise ModelNotFoundError(f"{full_name} is not installed; edgeguard list says what is")
    with locked(wait=False):
        try:
            _discard(folder)
        except FileNotFoundError as error:
            raise ModelNotFoundError(f"{full_name} was removed by another process") from error
        except OSError as error:
            raise _failed(f"{full_name} cannot be removed", error) from error


def open_folder(folder: Path) -> Installed:
    """The model in a folder with the layout that ``install`` makes."""
    try:
        return Installed(folder, read_manifest(folder))
    except ModelError as error:
        return Installed(folder, None, error)


def _discard(folder: Path) -> None:
    """Rename a folder out of sight, then delete it; a link is removed, not followed."""
    if folder.is_symlink():
        folder.unlink()
        return
    grave = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder.parent))
    folder.rename(grave / folder.name)
    shutil.rmtree(grave, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name.startswith(_TEMPORARY):
            _log.info("removing %s, left by a process that died", entry)
            shutil.rmtree(entry, ignore_errors=True)


def _sync(path: Path) -> None:
    """Sync to the disk, before the rename that makes it visible."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot sync a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


def _failed(what: str, error: Exception) -> StoreError:
    reason = getattr(error, "strerror", None) or error
    return StoreError(f"{what} ({reason}); free space or set EDGEGUARD_HOME to another folder")
