"""A header read by ourselves says what llama.cpp's own package says."""

from __future__ import annotations

import time
from pathlib import Path

import gguf
import pytest
from gguf_files import STRING, U32, Parts, text, u32, u64

from edgeguard.errors import ModelError
from edgeguard.gguf.header import Array, read_header
from edgeguard.gguf.tensor_types import TYPES
from edgeguard.store.metadata import read_metadata


def test_the_types_are_ggmls() -> None:
    known = {int(kind) for kind in gguf.GGMLQuantizationType}
    # The last ones came with later versions of gguf than the oldest that we take.
    assert {number for number in TYPES if number not in known} <= {39, 40, 41}
    for number, ours in TYPES.items():
        if number not in known:
            continue
        theirs = gguf.GGMLQuantizationType(number)
        assert ours.name == theirs.name.lower()
        assert (ours.values, ours.size) == gguf.GGML_QUANT_SIZES[theirs]
        assert all(offset + 2 <= ours.size for offset in ours.scales)
    left_out = {"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"}
    assert {kind.name for kind in gguf.GGMLQuantizationType if kind not in TYPES} == left_out


def test_a_sound_header_is_read_as_ggufs_reader_reads_it(nano_path: Path) -> None:
    header, theirs = read_header(nano_path), gguf.GGUFReader(nano_path)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert list(header.keys) == list(fields)
    for key, value in header.keys.items():
        content = fields[key].contents()
        if isinstance(value, Array):
            strings = [data.decode() for data in value.strings]
            assert content == (strings or memoryview(value.numbers).cast("i").tolist())
        else:
            assert value == content
    for ours, tensor in zip(header.tensors, theirs.tensors):
        assert (ours.name, list(ours.dimensions)) == (tensor.name, tensor.shape.tolist())
        assert (ours.start, ours.size) == (tensor.data_offset, tensor.n_bytes)
        assert ours.type.name == tensor.tensor_type.name.lower()


def test_places_are_those_of_the_values(nano_path: Path) -> None:
    assert dict(read_header(nano_path).places) == Parts(nano_path.read_bytes()).values


def test_the_header_of_a_real_vocabulary_is_read_quickly(real_vocabulary: Path) -> None:
    read_header(real_vocabulary)
    started = time.process_time()
    assert len(read_header(real_vocabulary).keys) > 20
    assert time.process_time() - started < 0.5  # 0.05 s where nothing else runs


def test_a_header_longer_than_the_first_part_read(nano_path: Path, tmp_path: Path) -> None:
    parts, long = Parts(nano_path.read_bytes()), "x" * (9 << 20)
    path = tmp_path / "long.gguf"
    path.write_bytes(parts.with_keys({"general.description": (STRING, text(long))}))
    assert read_header(path).keys["general.description"] == long


def test_a_header_without_end(tmp_path: Path) -> None:
    """400 MB that are none on the disk: no more of them is read than a header may have."""
    path = tmp_path / "endless.gguf"
    path.write_bytes(b"GGUF" + u32(3) + u64(0) + u64(1) + text("a") + u32(STRING) + u64(2**30))
    with path.open("rb+") as file:
        file.truncate(2**31)
    with pytest.raises(ValueError, match="no end"):
        read_header(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends early"),
        (b"GG", "ends early"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>login</html>" * 99, "is a web page"),
        (b"PK\x03\x04" + bytes(99), "is a PyTorch file"),
        (b"\x80\x02}q\x00" + bytes(99), "is a PyTorch file"),
        (u64(99) + b'{"__metadata__":{}}', "is a safetensors file.*edgeguard convert"),
        (bytes(10_000), "nothing but zeros"),
        (b"Dear diary, ", "is no GGUF file; name one"),
    ],
)
def test_what_else_it_may_be(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_metadata(path)


def test_no_metadata_of_an_alignment_of_another_type(nano_path: Path, tmp_path: Path) -> None:
    parts = Parts(nano_path.read_bytes())
    path = tmp_path / "x.gguf"
    for kind, value in ((STRING, text("32")), (U32, u32(0)), (U32, u32(33))):
        path.write_bytes(parts.with_keys({"general.alignment": (kind, value)}))
        with pytest.raises(ValueError, match=r"general\.alignment is"):
            read_header(path)
