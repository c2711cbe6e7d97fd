"""What we write is what llama.cpp's convert_hf_to_gguf.py writes, but for a short list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import reference

from edgeguard.convert import convert

EXPECTED = json.loads(reference.FINGERPRINTS.read_text(encoding="utf-8"))

# The reference guesses the name from the folder's; nothing that computes reads it.
GUESSED = {"general.name"}
# Where it writes the embedding a second time, it also counts it.
OF_THE_COPY = {"general.size_label"}


@pytest.mark.parametrize("file_type", reference.WRITTEN)
@pytest.mark.parametrize("form", reference.FORMS)
def test_equals_what_the_reference_wrote(tmp_path: Path, form: str, file_type: str) -> None:
    """Runs everywhere: the reference's results are kept in fingerprints.json."""
    ours = _ours(tmp_path, form, file_type)
    _compare(form, ours, EXPECTED[f"{form}, {file_type}"])


@pytest.mark.reference
@pytest.mark.parametrize("form", reference.FORMS)
def test_the_kept_fingerprints_are_the_references(tmp_path: Path, form: str) -> None:
    if reference.command() is None:
        pytest.skip("needs llama.cpp's converter: set REFERENCE_CONVERTER and REFERENCE_PYTHON")
    checkpoint = reference.write(form, tmp_path / "checkpoint")
    theirs = reference.run(checkpoint, tmp_path / "reference.gguf", "bf16")
    assert reference.describe(theirs) == EXPECTED[f"{form}, bf16"]


def _ours(folder: Path, form: str, file_type: str) -> dict[str, Any]:
    checkpoint = reference.write(form, folder / "checkpoint")
    out = folder / "ours.gguf"
    convert(checkpoint, out, type=file_type, trust_template=True)
    return reference.describe(out)


def _compare(form: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    allowed = set(GUESSED)
    tensors = dict(theirs["tensors"])
    if reference.FORMS[form].get("duplicate_head"):
        copy = tensors.pop("output.weight")
        assert copy == tensors["token_embd.weight"]
        allowed |= OF_THE_COPY
    assert ours["tensors"] == tensors
    added = {key for key in ours["metadata"] if key.startswith("edgeguard.")}
    for key in ours["metadata"].keys() | theirs["metadata"].keys():
        if key not in allowed | added:
            assert ours["metadata"].get(key) == theirs["metadata"].get(key), key
