"""One file of a Hugging Face repository at a pinned commit: from the cache, or from the hub.

The file ends up in the hub's own cache (HF_HOME), where huggingface_hub looks for it, and only
after its sha256 was checked. An interrupted download is kept there too, and the next one continues
it: huggingface_hub's own hf_hub_download removes it (file_download.py of 2.4,
`_download_to_tmp_and_move`), so 1.5 GB would start over.

There is no telemetry: the only requests are for the file itself, and the user agent names edgeguard
alone (hf_hub_download also asks the hub which agent programs to report, and reports them).

This module does not know what the file is for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from edgeguard.console import Progress
from edgeguard.errors import DownloadError, EdgeguardError
from edgeguard.store.checksum import compute_sha256
from edgeguard.store.hub_cache import (
    GO_ON,
    cache_folder,
    drop_blob,
    one_at_a_time,
    partial_path,
    size_of,
    snapshot,
    writing,
)
from edgeguard.store.patience import WAITS, wait
from edgeguard.store.registry import Release, SourceFile

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""Tries in a row, a second apart, while no data arrive."""

MOST_UNKNOWN = 4 << 20
"""The most bytes of a file without a recorded size: settings or a template, some kilobytes."""

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress bar with a label, as ``edgeguard.console.progress_bar`` does."""


def fetch(release: Release, file: SourceFile, stage: Stage) -> Path:
    """A file of the release with the right sha256, in the hub's cache; fetched if needed.

    Raises DownloadError if the hub cannot be reached or sends something else, StoreError if the
    cache cannot be read or written.
    """
    target = snapshot(release) / file.name
    was_there = target.is_file()
    if was_there:
        if _sha256(target, file, stage) == file.sha256:
            return target
        _log.warning("%s is damaged, it is fetched again", target)
    with one_at_a_time(release, file):
        if not was_there and target.is_file() and _sha256(target, file, stage) == file.sha256:
            return target  # another process fetched it while this one waited
        partial = partial_path(release, file)
        _download(release, file, partial, stage)
        _expect(release, file, partial, stage)
        with writing(target):
            drop_blob(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
    return target


def _download(release: Release, file: SourceFile, partial: Path, stage: Stage) -> None:
    """Fetch into the partial file; continues it if its final size is known."""
    if file.size is None or size_of(partial) > file.size:
        with writing(partial):
            partial.unlink(missing_ok=True)
    elif size_of(partial) == file.size:
        return
    # All in this block: closing the file may try once more to write what a full disk refused.
    with writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        with (
            partial.open("ab") as output,
            _bar(file, stage, f"fetching {file.name}") as progress,
            _quiet_hub(),
        ):
            _get(release, file, output, progress)


def _get(release: Release, file: SourceFile, output: BinaryIO, progress: Progress) -> None:
    """Fetch the rest of a file; after a cut connection, go on as long as more data arrives.

    A busy hub is asked again later.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    counted, fruitless, refusals = _Counted(output, file, progress), 0, 0
    while True:
        before = output.tell()
        try:
            _request(release, file, counted)
            return
        except EdgeguardError:
            raise
        except Exception as error:
            # Other exceptions depend on the hub's client (requests, httpx, httpx2); each of them
            # means that the file was not fetched.
            came = output.tell() > before
            fruitless, refusals = (0, 0) if came else (fruitless + 1, refusals)
            pause: float | None = 1.0
            if isinstance(error, HfHubHTTPError):
                pause = _pause(error, file, refusals)
                fruitless, refusals = 0, refusals + 1
            final = pause is None or isinstance(error, OfflineModeIsEnabled)
            if final or fruitless == _ATTEMPTS:
                raise translated(error, release, file, constants.ENDPOINT) from error
            _log.info("%s broke off (%s), it goes on", file.name, error)
            assert pause is not None
        time.sleep(pause)


def read_into(release: Release, file: SourceFile, output: BinaryIO) -> None:
    """Fetch a small file into an open one, without checking it. Raises DownloadError."""
    with _quiet_hub():
        _get(release, file, output, lambda _done, _total: None)


def _pause(error: HfHubHTTPError, file: SourceFile, refusals: int) -> float | None:
    """Announce the wait for a busy hub; returns its seconds, None if waiting is useless."""
    status = error.response.status_code
    pause = wait(status, error.response.headers, refusals)
    if pause is not None:
        _log.warning(
            "the hub is busy (HTTP %d for %s); asking again in %.0f s (%d of %d)",
            status,
            file.name,
            pause,
            refusals + 1,
            len(WAITS),
        )
    return pause


def _request(release: Release, file: SourceFile, counted: _Counted) -> None:
    """One request by the hub's client, which knows proxies, certificates, redirects and ranges."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get

    http_get(
        hf_hub_url(release.repo, file.name, revision=release.revision),
        cast(BinaryIO, counted),
        resume_size=counted.tell(),
        headers=headers(),
        displayed_filename=file.name,
        _nb_retries=0,  # which errors it retries differs between versions
    )


def headers() -> dict[str, str]:
    """The request headers that identify edgeguard."""
    from huggingface_hub import constants, get_token

    from edgeguard.store.versions import version_of

    # A compressed response could not be continued in the middle.
    said = {
        "user-agent": f"edgeguard/{version_of('edgeguard')}",
        "accept-encoding": "identity",
    }
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token is not None:
        said["authorization"] = f"Bearer {token}"
    return said


class _Counted:
    """A file for writing that reports progress and translates its errors.

    The hub's client writes to it, and starts over with seek and truncate.
    """

    def __init__(self, output: BinaryIO, file: SourceFile, progress: Progress) -> None:
        self._file = output
        self._name = file.name
        self._size = file.size
        self._progress = progress

    def write(self, chunk: bytes) -> int:
        with writing(Path(self._file.name)):
            written = self._file.write(chunk)
        done = self._file.tell()
        most = MOST_UNKNOWN if self._size is None else self._size
        if done > most:
            # Never fill the disk with something that cannot be the file.
            raise DownloadError(
                f"the hub sent more than {most:,} bytes for {self._name}, which has no more; "
                "check HF_ENDPOINT, then edgeguard pull"
            )
        self._progress(done, self._size or done)
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def truncate(self) -> int:
        return self._file.truncate()


def _expect(release: Release, file: SourceFile, partial: Path, stage: Stage) -> None:
    """Refuse a file that is not the pinned one, and remove it."""
    digest = _sha256(partial, file, stage)
    if digest == file.sha256:
        return
    size, page = size_of(partial), _is_page(partial)
    with writing(partial):
        partial.unlink(missing_ok=True)
    reason = (
        "it is a web page: a proxy or a login page is in the way" if page else "nothing is kept"
    )
    raise DownloadError(
        f"what came for {file.name} of {release.repo} is not that file ({size:,} bytes, sha256 "
        f"{digest[:12]}… instead of {file.sha256[:12]}…); {reason}; edgeguard pull tries again"
    )


def translated(
    error: Exception, release: Release, file: SourceFile, endpoint: str
) -> DownloadError:
    """The hub's exception as one line: what failed, and what to type."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return DownloadError(
            f"HF_HUB_OFFLINE is set and {file.name} of {release.repo} is not in {cache_folder()}; "
            "unset it, then type edgeguard pull"
        )
    if isinstance(error, HfHubHTTPError):
        return _refused(error.response.status_code, release, file, endpoint)
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return DownloadError(
        f"{endpoint} could not be reached ({reason}); check the network, HTTPS_PROXY and "
        f"HF_ENDPOINT; {GO_ON}"
    )


def _refused(status: int, release: Release, file: SourceFile, endpoint: str) -> DownloadError:
    if status in (401, 403):
        return DownloadError(
            f"{endpoint} refuses access to {release.repo} (HTTP {status}); a token that expired "
            "does that: unset HF_TOKEN or type hf auth logout, then edgeguard pull"
        )
    if status == 404:
        return DownloadError(
            f"{endpoint} has no {file.name} of {release.repo} at commit {release.revision[:12]} "
            "(HTTP 404); check HF_ENDPOINT, then edgeguard pull"
        )
    return DownloadError(
        f"{endpoint} answered HTTP {status} for {file.name}; try again later: {GO_ON}"
    )


def _sha256(path: Path, file: SourceFile, stage: Stage) -> str:
    with _bar(file, stage, f"checking {file.name}") as progress:
        return compute_sha256(path, progress)


@contextmanager
def _bar(file: SourceFile, stage: Stage, label: str) -> Iterator[Progress]:
    """A progress bar for large files, which are those with a recorded size."""
    if file.size is None:
        yield lambda _done, _total: None
        return
    with stage(label) as progress:
        yield progress


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's own bars and warnings off stderr, unless -v asks for more."""
    # Imported first, because each of its modules sets the level of its logger.
    import huggingface_hub.file_download  # noqa: F401
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    name, logger = "huggingface_hub.http_get", logging.getLogger("huggingface_hub")
    level, bars = logger.level, not are_progress_bars_disabled(name)
    if not _log.isEnabledFor(logging.INFO):
        logger.setLevel(logging.CRITICAL)  # its errors are raised too, and reported by us
    if bars:
        disable_progress_bars(name)
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            enable_progress_bars(name)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(256).lstrip()[:1] == b"<"
