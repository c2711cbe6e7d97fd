"""Installed models for tests of the store: any bytes will do where nobody opens the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeguard.store.manifest import MODEL, Manifest
from edgeguard.store.store import Installed, install, locked, staging

CONTENT = b"GGUF, or so it seems"


def manifest_of(path: Path, name: str, kind: str) -> Manifest:
    """A manifest that describes a file as it is."""
    return Manifest(
        name=name,
        type=kind,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
        repo="somebody/something",
        revision="0" * 40,
        sources={"config.json": "1" * 64},
        edgeguard="0",
        llama_cpp_python="0",
        installed="2026-01-01T00:00:00+00:00",
    )


def install_fake(
    name: str = "gen-0.6b", kind: str = "q4_k_m", content: bytes | Path = CONTENT
) -> Installed:
    """Install a model whose file has the given bytes, in the test's own models folder."""
    with locked(wait=False), staging() as folder:
        file = folder / MODEL
        file.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return install(folder, manifest_of(file, name, kind))
