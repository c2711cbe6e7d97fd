"""A checkpoint must have exactly the tensors that its config.json asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

from edgeguard.convert.config import Config, read_config
from edgeguard.convert.layout import EMBEDDING, HEAD, check, lossless, plan
from edgeguard.convert.weights import Tensor, read_tensors
from edgeguard.errors import ConversionError

SMALL = {"hidden": 32, "ffn": 48, "heads": 2, "kv_heads": 1, "head_dim": 8}
Read = tuple[Config, dict[str, Tensor]]


def read(folder: Path, **form: object) -> Read:
    write_checkpoint(folder, **SMALL, **form)  # type: ignore[arg-type]
    return read_config(folder), read_tensors(folder)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return read(tmp_path_factory.mktemp("tied"))


def test_norms_stay_whole_and_matrices_take_the_files_type(tied: Read) -> None:
    types = {tensor.name: tensor.type for tensor in plan(*tied, "f16")}
    assert types["blk.1.attn_q_norm.weight"] == "F32"
    assert types["output_norm.weight"] == "F32"
    assert {kind for name, kind in types.items() if "norm" not in name} == {"F16"}


@pytest.mark.parametrize("name", [EMBEDDING, "model.layers.1.self_attn.k_norm.weight"])
def test_a_missing_tensor(tied: Read, name: str) -> None:
    config, tensors = tied
    with pytest.raises(ConversionError, match=f"lacks the tensor {name}, one of 24"):
        check(config, {key: value for key, value in tensors.items() if key != name})


def test_a_missing_head_where_the_embedding_is_not_tied(tied: Read) -> None:
    config, tensors = tied
    with pytest.raises(ConversionError, match=r"lacks the tensor lm_head.weight"):
        check(replace(config, tied=False), tensors)


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.2.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.00.input_layernorm.weight",
        "score.weight",
    ],
)
def test_an_unknown_tensor(tied: Read, name: str) -> None:
    config, tensors = tied
    more = {name: replace(tensors["model.norm.weight"], name=name)}
    with pytest.raises(ConversionError, match=f"{name} is no tensor of a Qwen3 with 2 layers"):
        check(config, tensors | more)


def test_a_wrong_shape(tied: Read) -> None:
    config, tensors = tied
    said = r"q_proj.weight has the shape \[16, 32\], and config.json asks for \[24, 32\]"
    with pytest.raises(ConversionError, match=said):
        check(replace(config, heads=3), tensors)


def test_a_head_that_is_the_embedding_is_left_out(tmp_path: Path) -> None:
    config, tensors = read(tmp_path, duplicate_head=True)
    assert HEAD in tensors
    assert HEAD not in check(config, tensors)


def test_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    config, tensors = read(tmp_path, tied=False)
    assert HEAD in check(config, tensors)


def test_a_tied_head_that_differs_is_an_error(tmp_path: Path) -> None:
    config, tensors = read(tmp_path, tied=False)
    for head in (tensors[HEAD], replace(tensors[EMBEDDING], dtype="F16")):
        with pytest.raises(ConversionError, match=r"ties lm_head.weight to .*their values differ"):
            check(replace(config, tied=True), tensors | {HEAD: head})


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_the_lossless_type_is_the_checkpoints(tmp_path: Path, dtype: str) -> None:
    _, tensors = read(tmp_path, dtype=dtype)
    assert lossless(tensors) == dtype.lower()


def test_mixed_types_fit_into_float32(tied: Read) -> None:
    _, tensors = tied
    norm = "model.norm.weight"
    assert lossless(tensors | {norm: replace(tensors[norm], dtype="F32")}) == "bf16"
    assert lossless(tensors | {EMBEDDING: replace(tensors[EMBEDDING], dtype="F16")}) == "f32"
