"""The manifest of an installed model: what the file beside it is, and where it came from.

A manifest contains no path: the model's file is always the one in the same folder, so a manifest
that was tampered with cannot lead anywhere else.

This module neither reads nor checks the model's file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgeguard.errors import ModelError
from edgeguard.store.checksum import is_sha256

MANIFEST = "manifest.json"
MODEL = "model.gguf"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Manifest:
    """What is recorded of an installed model; every field is written to the JSON file."""

    name: str
    type: str
    sha256: str
    size: int
    repo: str
    revision: str
    sources: Mapping[str, str]
    edgeguard: str
    llama_cpp_python: str
    installed: str

    @property
    def full_name(self) -> str:
        """The name of the folder, which tells two types of one model apart."""
        return f"{self.name}-{self.type}"

    def to_json(self) -> str:
        """The text of the manifest file."""
        return json.dumps(asdict(self), indent=2, sort_keys=False) + "\n"


def is_name(text: str) -> bool:
    """Whether it can be a model's name: one plain folder name, never a path."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a model's folder.

    Raises ModelError if it cannot be read, or does not match its folder.
    """
    path = folder / MANIFEST
    try:
        manifest = _parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _damaged(folder, str(reason)) from error
    if manifest.full_name != folder.name:
        raise _damaged(folder, f"it describes {manifest.full_name!r}")
    return manifest


def _parse(data: object) -> Manifest:
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    values: dict[str, Any] = {}
    for field in fields(Manifest):
        kind = {"int": int, "str": str}.get(str(field.type), dict)
        value = data.get(field.name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{field.name!r} is missing or not a {kind.__name__}")
        values[field.name] = value
    if not is_sha256(values["sha256"]):
        raise ValueError("'sha256' is not a sha256")
    return Manifest(**values)


def _damaged(folder: Path, reason: str) -> ModelError:
    return ModelError(
        f"the manifest of {folder.name} is damaged ({reason}); "
        f"edgeguard rm {folder.name}, then edgeguard pull"
    )
