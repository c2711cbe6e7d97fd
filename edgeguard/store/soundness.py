"""Checks that a model's file is the expected one, and returns its sha256.

- The built-in model is compared with the released sha256.
- An installed model is compared with the sha256 that was recorded when it was installed.
- A file that is named by its path is inspected (edgeguard.gguf.inspection).

A file is read once for this, and again only if its size, times or inode have changed. The sha256 of
the file's bytes is the key under which everything else about a model is cached.

This module loads no model.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edgeguard.errors import ModelError, ModelNotFoundError
from edgeguard.store.checksum import (
    compute_sha256,
    file_sha256,
    inspected_sha256,
    is_sha256,
    sound_sha256,
)
from edgeguard.store.model_file import ModelFile, built_in
from edgeguard.store.registry import BUILT_IN, BUILT_INS


def identify(file: ModelFile) -> str:
    """The sha256 of a model's file, which must be sound.

    Raises ModelError if it is not, StoreError if it cannot be read.
    """
    if file.built_in:
        return _expect_released(file.path, file_sha256(file.path))
    if file.sha256 is None:
        return sound_sha256(file.path, _released())
    sha256 = file_sha256(file.path)
    if sha256 != file.sha256:
        raise ModelError(
            f"{file.path} is not the file that was installed any more; type edgeguard verify "
            f"{file.full_name}"
        )
    return sha256


def verify_built_in(name: str = BUILT_IN) -> None:
    """Read the whole file of a built-in model. Raises ModelError, StoreError."""
    path = built_in(name).path
    _expect_released(path, compute_sha256(path))


def verify_file(path: Path) -> str:
    """Read a whole file without a recorded checksum; returns in words why it is trusted.

    Raises ModelError, StoreError.
    """
    from edgeguard.gguf import content
    from edgeguard.store.metadata import read_metadata

    released = _released()
    if inspected_sha256(path, released) in released:
        return "it is a built-in model"
    if content.KEY in read_metadata(path):
        return "its content is what its own digest says"
    return "no damage is seen; it carries no digest to be held against"


def _expect_released(path: Path, sha256: str) -> str:
    if sha256 != _recorded(path):
        raise ModelError(f"{path} is not what was released; install edgeguard again")
    return sha256


def _recorded(path: Path) -> str:
    """The sha256 in the file beside the built-in model, in the format of sha256sum."""
    record = path.with_name(f"{path.name}.sha256")
    try:
        sha256 = record.read_text(encoding="ascii").partition(" ")[0]
    except (OSError, ValueError) as error:
        raise ModelError(f"{record} cannot be read; install edgeguard again") from error
    if not is_sha256(sha256):
        raise ModelError(f"{record} holds no sha256; install edgeguard again")
    return sha256


def _released() -> tuple[str, ...]:
    """The checksums of the built-in models, which may also be named by their paths."""
    found = []
    for name in BUILT_INS:
        with suppress(ModelNotFoundError, ModelError):
            found.append(_recorded(built_in(name).path))
    return tuple(found)
