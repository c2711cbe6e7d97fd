"""The built-in model in this repository is the one whose checksum lies beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path


def test_the_checksum_is_that_of_the_file(nano_path: Path) -> None:
    recorded, name = nano_path.with_name("nano.gguf.sha256").read_text().split()
    digest = hashlib.sha256(nano_path.read_bytes()).hexdigest()
    assert (recorded, name) == (digest, "nano.gguf"), (
        "cd models/nano; sha256sum nano.gguf > nano.gguf.sha256"
    )
