"""The built-in models in this repository are those whose checksums lie beside them."""

from __future__ import annotations

import hashlib

import pytest

from edgeguard.store.model_file import built_in
from edgeguard.store.registry import BUILT_INS


@pytest.mark.parametrize("model", BUILT_INS)
def test_the_checksum_is_that_of_the_file(model: str) -> None:
    path = built_in(model).path
    recorded, name = path.with_name(f"{path.name}.sha256").read_text().split()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (recorded, name) == (digest, f"{model}.gguf"), (
        f"cd {path.parent}; sha256sum {path.name} > {path.name}.sha256"
    )
