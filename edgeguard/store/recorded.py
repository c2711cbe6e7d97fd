"""Official models without publicly pinned checksums: recorded at the first pull.

The hub states a commit and, for large files, their sha256; small files have git's own hash, by
which their content is checked once. All of this is recorded under EDGEGUARD_HOME, and from then on
the model is pulled as if it were pinned: a different answer from the hub is an error. This is trust
on first use, and the user is told so. Checksums that are pinned in public apply from the beginning.

This module fetches no weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, cast

from edgeguard.errors import DownloadError, EdgeguardError, StoreError
from edgeguard.files import replace_text
from edgeguard.store import hub
from edgeguard.store.checksum import is_sha256
from edgeguard.store.paths import pins_folder
from edgeguard.store.registry import Offer, Release, SourceFile

_logger = logging.getLogger(__name__)

_NAMES = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|model\.safetensors\.index)\.json"
    r"|chat_template\.jinja|model(-\d{5}-of-\d{5})?\.safetensors",
    re.ASCII,
)
"""The files fetched from a repository: settings, texts and tensors; no pickles and no code."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


def known(offer: Offer) -> Release | None:
    """The release as it was recorded; None before the first pull. Raises StoreError."""
    path = pins_folder() / f"{offer.name}.json"
    try:
        return _parse(offer, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{path}, which holds the checksums of {offer.name}, cannot be read ({error}); restore "
            "it, or remove it to trust the hub again"
        ) from error


def release_of(offer: Offer) -> Release:
    """The release with every checksum: as recorded, else as the hub states it now.

    Raises DownloadError, StoreError.
    """
    found = known(offer)
    if found is not None:
        return found
    revision, files = _ask(offer)
    release = _release(offer, revision, files)
    content = {"revision": revision, "files": [asdict(file) for file in files]}
    path = pins_folder() / f"{offer.name}.json"
    try:
        replace_text(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror or error})") from error
    _logger.warning(
        "no checksums of %s are published that several sources agree on; those that the hub states "
        "for commit %s are recorded in %s, and hold from now on",
        offer.repo,
        revision[:12],
        path,
    )
    return release


def _ask(offer: Offer) -> tuple[str, tuple[SourceFile, ...]]:
    """The commit and the files, as the hub states them."""
    from huggingface_hub import HfApi, constants

    placeholder = _release(offer, offer.revision or "main", ())
    try:
        api = HfApi(endpoint=constants.ENDPOINT, user_agent=hub.headers()["user-agent"])
        info = api.model_info(offer.repo, revision=offer.revision, files_metadata=True)
        revision = str(info.sha)
        listed = [file for file in info.siblings or [] if _NAMES.fullmatch(file.rfilename)]
        if not _COMMIT.fullmatch(revision) or offer.revision not in (None, revision):
            raise _other(offer, f"the commit {revision[:40]!r}")
        release = _release(offer, revision, ())
        # Small files first: a wrong address or blocked network shows before the long download.
        listed.sort(key=lambda file: (file.size or 0, file.rfilename))
        files = tuple(_file(offer, release, file) for file in listed)
    except EdgeguardError:
        raise
    except Exception as error:  # any exception of the hub's client: nothing can be recorded then
        file = SourceFile("list of files", "")
        raise hub.translated(error, placeholder, file, constants.ENDPOINT) from error
    missing = {file.name for file in offer.files} - {file.name for file in files}
    if missing or not any(file.name.endswith(".safetensors") for file in files):
        raise _other(offer, f"no {', '.join(sorted(missing)) or 'tensors'}")
    return revision, files


def _file(offer: Offer, release: Release, listed: Any) -> SourceFile:
    pinned = {file.name: file for file in offer.files}.get(listed.rfilename)
    if listed.lfs is not None:
        found = SourceFile(listed.rfilename, str(listed.lfs.sha256), int(listed.lfs.size))
    else:
        content = _small(release, listed.rfilename)
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if blob != listed.blob_id:
            raise _other(offer, f"another content of {listed.rfilename} than it states")
        found = SourceFile(listed.rfilename, hashlib.sha256(content).hexdigest())
    if not is_sha256(found.sha256):
        raise _other(offer, f"no checksum of {found.name}")
    if pinned is not None and pinned.sha256 != found.sha256:
        raise _other(offer, f"another {found.name} than the published one")
    return found


def _small(release: Release, name: str) -> bytes:
    with NamedTemporaryFile() as output:
        hub.read_into(release, SourceFile(name, ""), cast(BinaryIO, output))
        output.seek(0)
        return output.read()


def _release(offer: Offer, revision: str, files: tuple[SourceFile, ...]) -> Release:
    return Release(
        offer.name, offer.repo, revision, files, offer.probes, random_weights=offer.random_weights
    )


def _parse(offer: Offer, content: dict[str, Any]) -> Release:
    files = tuple(SourceFile(**file) for file in content["files"])
    sound = all(is_sha256(file.sha256) and _NAMES.fullmatch(file.name) for file in files)
    if not files or not sound or not _COMMIT.fullmatch(content["revision"]):
        raise ValueError("it holds no checksums")
    return _release(offer, content["revision"], files)


def _other(offer: Offer, what: str) -> DownloadError:
    return DownloadError(
        f"the hub gives {what} for {offer.repo}, so it is not fetched; check HF_ENDPOINT, then "
        f"edgeguard pull {offer.name}"
    )
