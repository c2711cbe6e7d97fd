"""What `edgeguard tune` found for a model file on this machine.

One small JSON file for each model file, in a folder of EDGEGUARD_HOME. It holds for the llama.cpp
and the processor that it was measured with, and is left out of account on any other. This module
measures nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from edgeguard.errors import StoreError
from edgeguard.files import replace_text
from edgeguard.session.cpu import physical_cores
from edgeguard.session.settings import MAX_SEQUENCES, MAX_THREADS, Settings
from edgeguard.store.paths import tuning_folder

T = TypeVar("T")

_PLAIN = "plain_weights"
_ONE_SHOT = "plain_weights_in_one_shot"

_log = logging.getLogger(__name__)


def remembered(sha256: str, library: str) -> Settings | None:
    """The settings kept for a model file; None where there are none for this machine.

    ``library`` is edgeguard.session.library.library_identity().
    """

    def read(record: dict[str, Any]) -> Settings | None:
        if record["machine"] != _machine(library):
            _log.info("the tuned settings are another machine's or library's: tune again")
            return None
        return _parse(record["settings"])

    return _read(sha256, read)


def remembered_plain(sha256: str, *, one_shot: bool) -> bool | None:
    """Whether plain weights are faster; None if that was not measured.

    ``one_shot``: for a process that judges little. Whatever the library is: this is asked before it
    is loaded, and decides nothing but time.
    """
    key = _ONE_SHOT if one_shot else _PLAIN

    def read(record: dict[str, Any]) -> bool | None:
        found = record[key]
        if type(found) is not bool:
            raise ValueError(f"{key} is neither true nor false")
        return found if record["host"] == _machine("") else None

    return _read(sha256, read)


def _read(sha256: str, read: Callable[[dict[str, Any]], T | None]) -> T | None:
    """What ``read`` finds in the record of a model file; None, with a warning, if it is damaged."""
    try:
        return read(json.loads(_file(sha256).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, StoreError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("the tuned settings cannot be read (%s): type `edgeguard tune` again", error)
        return None


def remember(
    sha256: str, library: str, settings: Settings, *, plain: bool, plain_in_one_shot: bool
) -> Path:
    """Keep what was found for a model file. Raises StoreError when it cannot be written."""
    path = _file(sha256)
    record = {
        "machine": _machine(library),
        "settings": asdict(settings),
        "host": _machine(""),
        _PLAIN: plain,
        _ONE_SHOT: plain_in_one_shot,
    }
    try:
        replace_text(path, json.dumps(record))
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror or error})") from error
    return path


def _file(sha256: str) -> Path:
    return tuning_folder() / f"{sha256}.json"


def _machine(library: str) -> str:
    parts = (platform.machine(), physical_cores(), library)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _parse(values: dict[str, object]) -> Settings:
    """Settings out of a file that anybody may have changed. Raises ValueError."""
    if set(values) != {field.name for field in fields(Settings)}:
        raise ValueError("other settings than there are")
    threads, n_batch, flash, sequences = (values[f.name] for f in fields(Settings))
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads is {threads!r}")
    if type(n_batch) is not int or not 32 <= n_batch <= 4096:
        raise ValueError(f"n_batch is {n_batch!r}")
    if type(flash) is not bool:
        raise ValueError(f"flash_attention is {flash!r}")
    if type(sequences) is not int or not 1 <= sequences <= MAX_SEQUENCES:
        raise ValueError(f"sequences is {sequences!r}")
    return Settings(threads, n_batch, flash, sequences)
