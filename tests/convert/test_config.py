"""config.json is read whole, and refused where it describes another computation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint, write_json

from edgeguard.convert.config import Config, read_config
from edgeguard.errors import ConversionError


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = write_checkpoint(tmp_path_factory.mktemp("c"), hidden=32, ffn=32, head_dim=8)
    content: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return content


def read(folder: Path, content: object) -> Config:
    write_json(folder / "config.json", content)
    return read_config(folder)


def test_reads_the_published_form(tmp_path: Path, published: dict[str, Any]) -> None:
    config = read(tmp_path, published)
    assert (config.layers, config.hidden, config.ffn, config.heads, config.kv_heads) == (
        2,
        32,
        32,
        4,
        2,
    )
    assert (config.head_dim, config.context, config.rope_theta) == (8, 4096, 1e6)
    assert config.tied and config.token_ids == {"bos": 587, "eos": 589}


def test_reads_the_form_that_transformers_5_writes(
    tmp_path: Path, published: dict[str, Any]
) -> None:
    content = dict(published, rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    del content["rope_theta"], content["rope_scaling"]
    assert read(tmp_path, content).rope_theta == 5e5


def test_several_ends_are_left_to_the_tokenizers_settings(
    tmp_path: Path, published: dict[str, Any]
) -> None:
    assert read(tmp_path, dict(published, eos_token_id=[1, 2])).token_ids == {"bos": 587}


@pytest.mark.parametrize(
    ("architectures", "said"),
    [
        (["LlamaForCausalLM"], "LlamaForCausalLM; supported: Qwen3ForCausalLM, Qwen3ForGuardModel"),
        (["Qwen3ForCausalLM", "X"], "Qwen3ForCausalLM, X; supported"),
        ([], "architecture none"),
        (None, "architecture none"),
        ("Qwen3ForCausalLM", "architecture none"),
        ([["x" * 999]], "supported"),
    ],
)
def test_another_architecture(
    tmp_path: Path, published: dict[str, Any], architectures: object, said: str
) -> None:
    with pytest.raises(ConversionError, match=said) as error:
        read(tmp_path, dict(published, architectures=architectures))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_act", "gelu", "hidden_act is gelu, and Qwen3Guard has 'silu'"),
        ("attention_bias", True, "attention_bias is True"),
        ("use_sliding_window", True, "use_sliding_window is True"),
        ("quantization_config", {"quant_method": "fp8"}, "quantized already .FP8.; take"),
        ("quantization_config", {"quant_method": "gptq"}, "quantized already .GPTQ.; take"),
        ("quantization_config", {"quant_method": "awq"}, "quantized already .AWQ.; take"),
        ("quantization_config", {"quant_method": ["x"]}, "quantized already .some method.; take"),
        ("rope_parameters", {"rope_theta": 5e5}, "rope_theta is 500000.0 and 1000000.0"),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e6}, "scaled rope"),
        ("max_position_embeddings", 100, "a question needs 512"),
        ("num_hidden_layers", 10**9, "beyond 512"),
        ("is_causal", False, "is_causal is False"),
        ("rope_scaling", {"rope_type": "yarn", "factor": 4.0}, "scaled rope"),
        ("rope_scaling", {"type": "linear"}, "scaled rope"),
        ("rope_scaling", "yarn", "scaled rope"),
        ("rope_theta", 0, "rope_theta is 0, not a positive number"),
        ("rope_theta", None, "rope_theta is None"),
        ("rope_theta", True, "rope_theta is True"),
        ("rms_norm_eps", float("nan"), "rms_norm_eps is nan"),
        ("rms_norm_eps", "1e-6", "rms_norm_eps is 1e-6, not a positive number"),
        ("hidden_size", 0, "hidden_size is 0, not a positive whole number"),
        ("hidden_size", 2**31, "hidden_size is 2147483648"),
        ("num_hidden_layers", 2.0, "num_hidden_layers is 2.0"),
        ("num_hidden_layers", True, "num_hidden_layers is True"),
        ("head_dim", None, "head_dim is None"),
        ("vocab_size", -1, "vocab_size is -1"),
        ("num_key_value_heads", 3, "no multiple of num_key_value_heads"),
    ],
)
def test_another_computation(
    tmp_path: Path, published: dict[str, Any], key: str, value: object, said: str
) -> None:
    with pytest.raises(ConversionError, match=said) as error:
        read(tmp_path, dict(published, **{key: value}))
    assert str(tmp_path / "config.json") in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "a list where an object belongs"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 99999, "not valid JSON"),
        (b"1" * 9999, "not valid JSON"),
    ],
)
def test_no_json(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConversionError, match=said) as error:
        read_config(tmp_path)
    assert "\n" not in str(error.value)


def test_no_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"has no config.json; download the whole checkpoint"):
        read_config(tmp_path)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConversionError, match="cannot be read"):
        read_config(tmp_path)
