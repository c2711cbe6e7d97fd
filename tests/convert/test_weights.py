"""The safetensors reader: equal to the safetensors library, and proof against any damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import write_checkpoint, write_json, write_safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from edgeguard.convert import weights
from edgeguard.convert.weights import blocks, read_file, read_tensors
from edgeguard.errors import ConversionError

Header = dict[str, Any]


def small_file(path: Path) -> bytes:
    """Three tensors of all dtypes, 2 x 3, 4 and 0 x 5."""
    write_safetensors(
        path,
        {
            "b.weight": ("BF16", (2, 3), iter([bytes(range(12))])),
            "a.weight": ("F32", (4,), iter([np.arange(4, dtype="<f4").tobytes()])),
            "empty": ("F16", (0, 5), iter([])),
        },
    )
    return path.read_bytes()


def rewrite(path: Path, change: Callable[[Header], object]) -> None:
    """Change the header of a file and leave its data as they are."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


def test_reads_what_the_safetensors_library_reads(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c", dtype="F32", hidden=32, ffn=32, head_dim=8)
    with safe_open(folder / "model.safetensors", "numpy") as library:
        ours = read_tensors(folder)
        assert list(ours) == sorted(library.keys())
        for name, tensor in ours.items():
            values = np.concatenate(list(blocks(tensor))).reshape(tensor.shape)
            assert np.array_equal(values, library.get_tensor(name))


def test_blocks_are_small_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", 4)
    small_file(tmp_path / "f")
    found = {tensor.name: list(blocks(tensor)) for tensor in read_file(tmp_path / "f")}
    assert [len(block) for block in found["b.weight"]] == [4, 2]
    assert b"".join(block.tobytes() for block in found["b.weight"]) == bytes(range(12))
    assert found["empty"] == []


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    content = small_file(tmp_path / "f")
    tensor = read_file(tmp_path / "f")[1]
    (tmp_path / "f").write_bytes(content[:-20])
    with pytest.raises(ConversionError, match="became shorter"):
        list(blocks(tensor))


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_random_damage_is_found_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes change or go missing: an error that we raise, or tensors within the file."""
    path = tmp_path / "f"
    content = bytearray(small_file(path))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "replace"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if kind == "flip":
        content[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[at : at + data.draw(st.integers(1, len(content)))]
    elif kind == "insert":
        content[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    else:
        content = bytearray(data.draw(st.binary(max_size=64)))
    path.write_bytes(content)
    try:
        tensors = read_file(path)
    except ConversionError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return
    for tensor in tensors:
        assert sum(block.size for block in blocks(tensor)) == tensor.count


@given(
    header=st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_as_a_header_is_an_error_or_a_file(tmp_path: Path, header: Any) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text)
    try:
        assert read_file(tmp_path / "f") == []
    except ConversionError as error:
        assert "download it again" in str(error) or "download the file again" in str(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["a.weight"].update(dtype="F8_E4M3"), "a.weight is stored as F8_E4M3"),
        (lambda h: h["a.weight"].update(dtype=["F32"]), r"a.weight is stored as \['F32'\]"),
        (lambda h: h["a.weight"].update(shape=[2**40, 2**40]), "28 bytes|16 bytes for the shape"),
        (lambda h: h["a.weight"].update(shape=[-4]), "makes no sense"),
        (lambda h: h["a.weight"].update(shape=[4.0]), "makes no sense"),
        (lambda h: h["a.weight"].update(data_offsets=[12]), "makes no sense"),
        (lambda h: h["a.weight"].update(data_offsets=[13, 29]), "gap or an overlap at byte 12"),
        (lambda h: h["a.weight"].update(data_offsets=[8, 24]), "gap or an overlap at byte 8"),
        (lambda h: h.update({"a.weight": None}), "makes no sense"),
        (lambda h: (h.pop("a.weight"), h.pop("empty")), "16 bytes too many"),
        (
            lambda h: h.update(more={"dtype": "F32", "shape": [1], "data_offsets": [28, 32]}),
            "cut short: 28 bytes of data where 32 belong",
        ),
    ],
)
def test_a_header_that_lies_is_an_error(
    tmp_path: Path, change: Callable[[Header], object], said: str
) -> None:
    small_file(tmp_path / "f")
    rewrite(tmp_path / "f", change)
    with pytest.raises(ConversionError, match=said):
        read_file(tmp_path / "f")


def test_a_repeated_name_is_an_error(tmp_path: Path) -> None:
    entry = '"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    text = f"{{{entry},{entry}}}".encode()
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ConversionError, match="occurs twice"):
        read_file(tmp_path / "f")


def test_deep_nesting_is_an_error(tmp_path: Path) -> None:
    text = b"[" * 100_000
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ConversionError, match="not valid JSON"):
        read_file(tmp_path / "f")


class TestShards:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_checkpoint(tmp_path / "c", shards=3, tied=False, hidden=32, ffn=32, head_dim=8)

    def index(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        path = folder / "model.safetensors.index.json"
        content = json.loads(path.read_text())
        change(content)
        write_json(path, content)

    def test_all_tensors_are_found(self, folder: Path) -> None:
        assert len(read_tensors(folder)) == 3 + 2 * 11

    def test_a_missing_shard(self, folder: Path) -> None:
        (folder / "model-00002-of-00003.safetensors").unlink()
        with pytest.raises(ConversionError, match=r"has no model-00002-of-00003.safetensors"):
            read_tensors(folder)

    def test_a_truncated_shard(self, folder: Path) -> None:
        shard = folder / "model-00003-of-00003.safetensors"
        shard.write_bytes(shard.read_bytes()[:-7])
        with pytest.raises(ConversionError, match=r"model-00003-of-00003.safetensors .*cut short"):
            read_tensors(folder)

    def test_a_missing_index(self, folder: Path) -> None:
        (folder / "model.safetensors.index.json").unlink()
        with pytest.raises(ConversionError, match=r"no model.safetensors.index.json; download"):
            read_tensors(folder)

    def test_no_weights_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(ConversionError, match=r"has no model.safetensors; download"):
            read_tensors(tmp_path)

    @pytest.mark.parametrize(
        "name", ["../c/x.safetensors", "/etc/passwd", "..", "", "a\0.safetensors", 3, None]
    )
    def test_an_index_that_names_no_file_of_the_folder(self, folder: Path, name: object) -> None:
        self.index(folder, lambda content: content["weight_map"].update({"lm_head.weight": name}))
        with pytest.raises(ConversionError, match="which is no file of this folder"):
            read_tensors(folder)

    def test_an_index_without_a_map(self, folder: Path) -> None:
        self.index(folder, lambda content: content.pop("weight_map"))
        with pytest.raises(ConversionError, match="has no weight_map"):
            read_tensors(folder)

    def test_an_index_that_names_a_tensor_more(self, folder: Path) -> None:
        file = "model-00001-of-00003.safetensors"
        self.index(folder, lambda content: content["weight_map"].update(more=file))
        with pytest.raises(ConversionError, match=f"says that {file} holds more, and it does not"):
            read_tensors(folder)

    def test_an_index_that_names_a_tensor_less(self, folder: Path) -> None:
        self.index(folder, lambda content: content["weight_map"].pop("lm_head.weight"))
        with pytest.raises(ConversionError, match=r"holds lm_head.weight, which .* does not list"):
            read_tensors(folder)

    def test_a_tensor_in_two_files(self, folder: Path) -> None:
        first, second = sorted(folder.glob("*.safetensors"))[:2]
        second.write_bytes(first.read_bytes())
        with pytest.raises(ConversionError, match=r"two files hold the tensor lm_head.weight"):
            read_tensors(folder)
