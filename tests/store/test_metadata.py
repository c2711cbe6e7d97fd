"""The header of a GGUF file, whole or not."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import gguf
import pytest
from gguf.constants import LlamaFileType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeguard.errors import ModelError, StoreError
from edgeguard.file_types import FILE_TYPE, type_name
from edgeguard.gguf.header import INT32, STRING, Array
from edgeguard.store.metadata import read_metadata


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Every kind of value, written by llama.cpp's own package."""
    path = tmp_path_factory.mktemp("header") / "h.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_uint8("a", 1)
    writer.add_int64("b", -2)
    writer.add_float64("c", 0.5)
    writer.add_bool("d", True)
    writer.add_string("e", "ünïcode")
    writer.add_array("f", ["x", "yy" * 5000, ""])
    writer.add_array("g", [1, 2, 3])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def _read(data: bytes, tmp_path: Path) -> dict[str, object]:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    return dict(read_metadata(path))


def test_every_kind_of_value(header: bytes, tmp_path: Path) -> None:
    values = _read(header, tmp_path)
    assert values == {
        "general.architecture": "qwen3",
        "a": 1,
        "b": -2,
        "c": 0.5,
        "d": True,
        "e": "ünïcode",
        "f": Array(STRING, 3, strings=[b"x", b"yy" * 5000, b""]),
        "g": Array(INT32, 3, numbers=struct.pack("<3i", 1, 2, 3)),
        "general.file_type": 15,
    }
    assert type_name(values[FILE_TYPE]) == "q4_k_m"


def test_the_types_are_those_of_gguf() -> None:
    for kind in LlamaFileType:
        if kind is not LlamaFileType.GUESSED:
            name = kind.name.lower().removeprefix("mostly_").removeprefix("all_")
            assert type_name(int(kind)) == name


@pytest.mark.parametrize(
    ("number", "name"),
    [(None, "unknown"), ("q8_0", "unknown"), (True, "unknown"), (9999, "file type 9999")],
)
def test_unknown_types(number: object, name: str) -> None:
    assert type_name(number) == name


def test_every_cut_is_an_error(header: bytes, tmp_path: Path) -> None:
    for end in (*range(200), len(header) - 1):
        with pytest.raises(ModelError, match="no whole GGUF file"):
            _read(header[:end], tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4" * 10,
        b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 77),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 5),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 4, 2**62),
    ],
)
def test_nonsense_is_an_error(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        _read(data, tmp_path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(4, 300), value=st.integers(0, 255))
def test_any_flipped_byte_is_read_or_refused(
    header: bytes, tmp_path: Path, place: int, value: int
) -> None:
    data = bytearray(header)
    data[place] = value
    with contextlib.suppress(ModelError):
        _read(bytes(data), tmp_path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        read_metadata(tmp_path / "none")
