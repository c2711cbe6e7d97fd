"""A Qwen3Guard-Stream checkpoint in one file: its backbone as Gen's, its heads bit for bit."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import reference
from checkpoints import head_shapes, write_checkpoint, write_json, write_safetensors

from edgeguard.convert import TYPES, convert
from edgeguard.convert.config import read_config
from edgeguard.convert.weights import blocks, read_tensors
from edgeguard.errors import ConversionError
from edgeguard.gguf import heads
from edgeguard.gguf.header import read_header
from edgeguard.gguf.inspection import UnsoundError, inspect
from edgeguard.protocol import stream
from edgeguard.protocol.names import CATEGORIES

TEMPLATE = (reference.DATA / "conversation.jinja").read_text(encoding="utf-8")
SMALL: dict[str, Any] = {"hidden": 64, "ffn": 128, "heads": 2, "kv_heads": 1, "head_dim": 32}
HEADS = sorted(head_shapes(64, 32))

FORMS: dict[str, dict[str, Any]] = {
    "0.6b": {"inner": 32},
    "4b": {"inner": 80, "shards": 2, "seed": 4},
    "8b": {"inner": 128, "shards": 3, "tied": False, "seed": 8, "layers": 5},
    "f32": {"inner": 32, "dtype": "F32"},
    "f16": {"inner": 32, "dtype": "F16"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "c", template=TEMPLATE, inner=32, **SMALL)


def source(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a checkpoint: its dtype, shape and bytes."""
    return {
        name: (t.dtype, t.shape, b"".join(block.tobytes() for block in blocks(t)))
        for name, t in read_tensors(folder).items()
    }


def change_tensors(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = source(folder)
    change(tensors)
    single = {n: (dtype, shape, iter([bits])) for n, (dtype, shape, bits) in tensors.items()}
    write_safetensors(folder / "model.safetensors", single)


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | values)


@pytest.mark.parametrize("form", FORMS)
def test_the_backbone_is_what_gens_conversion_makes_of_it(tmp_path: Path, form: str) -> None:
    """That one is held against the reference's own, tensor for tensor (test_reference)."""
    folder = write_checkpoint(tmp_path / "c", template=TEMPLATE, **FORMS[form])
    stream_file = convert(folder, tmp_path / "stream.gguf", type="bf16").path
    plain = {key: value for key, value in FORMS[form].items() if key != "inner"}
    # Its names decide its numbers, so it has the same ones; a Stream has no output matrix.
    write_checkpoint(tmp_path / "gen", **plain | {"tied": True})
    gen_file = convert(
        tmp_path / "gen", tmp_path / "gen.gguf", type="bf16", trust_template=True
    ).path
    ours, gens = reference.describe(stream_file), reference.describe(gen_file)
    assert ours["tensors"] == gens["tensors"]
    of_the_file = {"general.name", "tokenizer.chat_template"}
    for key in ours["metadata"].keys() | gens["metadata"].keys():
        if not key.startswith("edgeguard.") and key not in of_the_file:
            assert ours["metadata"].get(key) == gens["metadata"].get(key), key


@pytest.mark.parametrize("kind", TYPES)
def test_the_heads_keep_their_bits_in_every_type(tmp_path: Path, folder: Path, kind: str) -> None:
    keys = read_header(convert(folder, tmp_path / "out.gguf", type=kind).path).keys
    given = source(folder)
    for name, shape in head_shapes(64, 32).items():
        dtype, *sizes, data = str(keys[f"edgeguard.stream.head.{name}"]).split(" ")
        assert (dtype, tuple(map(int, sizes))) == ("bf16", shape)
        assert base64.b64decode(data) == given[name][2]
    assert keys["edgeguard.stream.rms_norm_eps"] == "1e-06"


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_heads_read_back_are_the_checkpoints_numbers(tmp_path: Path, dtype: str) -> None:
    folder = write_checkpoint(tmp_path / "c", template=TEMPLATE, inner=32, dtype=dtype, **SMALL)
    made = convert(folder, tmp_path / "out.gguf", type="q8_0")
    found = heads.read(heads.texts(read_header(made.path).keys), 64)
    given = source(folder)
    for side, prefix in ((found.response, ""), (found.query, "query_")):
        for name, head in (
            ("risk_level_category_pre", side.pre),
            ("risk_level_category_layernorm", side.norm),
            ("risk_level_head", side.risk),
            ("category_head", side.category),
        ):
            kind, shape, bits = given[f"{prefix}{name}.weight"]
            if kind == "BF16":
                exact = (np.frombuffer(bits, "<u2").astype("<u4") << 16).view("<f4")
            else:
                exact = np.frombuffer(bits, {"F16": "<f2", "F32": "<f4"}[kind]).astype("<f4")
            np.testing.assert_array_equal(head, exact.reshape(shape))
    assert found.epsilon == 1e-6


def test_the_digest_covers_the_heads(tmp_path: Path, folder: Path) -> None:
    path = convert(folder, tmp_path / "out.gguf", type="q8_0").path
    inspect(path)
    content = path.read_bytes()
    place = read_header(path).places["edgeguard.stream.head.risk_level_head.weight"] + 8 + 20
    other = b"A" if content[place : place + 1] != b"A" else b"B"
    path.write_bytes(content[:place] + other + content[place + 1 :])
    with pytest.raises(UnsoundError, match="not what its own digest says"):
        inspect(path)


@pytest.mark.parametrize("name", HEADS)
def test_a_missing_head(folder: Path, name: str) -> None:
    change_tensors(folder, lambda tensors: tensors.pop(name))
    with pytest.raises(ConversionError, match=f"lacks the tensor {name}, one of 32"):
        convert(folder, folder.parent / "out.gguf")
    assert not (folder.parent / "out.gguf").exists()


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_another_shape(folder: Path, name: str) -> None:
    def cut(tensors: dict[str, Any]) -> None:
        dtype, shape, bits = tensors[name]
        size = len(bits) // shape[0]
        tensors[name] = (dtype, (shape[0] - 1, *shape[1:]), bits[:-size])

    change_tensors(folder, cut)
    with pytest.raises(ConversionError, match=f"{name} has the shape .* config.json asks for"):
        convert(folder, folder.parent / "out.gguf")


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "NaN or infinite"),
        (-np.inf, "NaN or infinite"),
        (1e20, "beyond 16,777,216"),
        (None, "a quarter zeros"),
    ],
)
def test_damaged_heads(folder: Path, name: str, value: float | None, said: str) -> None:
    """None: the second half is zeros, as of a download that broke off."""

    def damage(tensors: dict[str, Any]) -> None:
        dtype, shape, bits = tensors[name]
        half = len(bits) // 4 * 2
        bad = bytes(len(bits) - half)
        if value is not None:
            bad = (np.full(1, value, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
            bad += bits[half + 2 :]
        tensors[name] = (dtype, shape, bits[:half] + bad)

    change_tensors(folder, damage)
    with pytest.raises(ConversionError, match=f"{name} holds .*{said}"):
        convert(folder, folder.parent / "out.gguf")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"response_risk_level_map": {"0": "Safe", "1": "Controversial", "2": "Unsafe"}},
            "response_risk_level_map is",
        ),
        ({"query_risk_level_map": {"0": "Safe", "1": "Unsafe"}}, "query_risk_level_map is"),
        ({"response_category_map": {}}, "response_category_map is"),
        ({"query_category_map": None}, "query_category_map is None"),
        ({"query_category_map": ["Violent"]}, "query_category_map is"),
        ({"num_query_category": 8}, "num_query_category is 8"),
        ({"num_risk_level": 2}, "num_risk_level is 2"),
        ({"guard_inner_size": 0}, "guard_inner_size is 0"),
        ({"guard_inner_size": None}, "guard_inner_size is None"),
        ({"guard_inner_size": 16}, "asks for"),
    ],
)
def test_labels_in_another_order(folder: Path, values: dict[str, object], said: str) -> None:
    """A port that swaps two of them calls what is Unsafe Controversial, without a sign."""
    change_config(folder, **values)
    with pytest.raises(ConversionError, match=said):
        convert(folder, folder.parent / "out.gguf")


def test_a_map_of_the_same_labels_turned_round(folder: Path) -> None:
    turned = {str(n): name for n, name in enumerate(reversed(stream.RESPONSE_CATEGORIES))}
    change_config(folder, response_category_map=turned)
    with pytest.raises(ConversionError, match="response_category_map is"):
        convert(folder, folder.parent / "out.gguf")


def test_an_output_matrix_is_left_out(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c", template=TEMPLATE, inner=32, tied=False, **SMALL)
    without = convert(folder, tmp_path / "without.gguf", type="bf16").path
    tensors = source(folder)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    change_tensors(folder, lambda found: found.update(tensors))
    with_one = convert(folder, tmp_path / "with.gguf", type="bf16").path
    names = [{t.name for t in gguf.GGUFReader(path).tensors} for path in (without, with_one)]
    assert names[0] == names[1] and "output.weight" not in names[0]


def test_a_gen_checkpoint_with_heads_is_refused(folder: Path) -> None:
    change_config(folder, architectures=["Qwen3ForCausalLM"])
    with pytest.raises(ConversionError, match="is no tensor of a Qwen3"):
        convert(folder, folder.parent / "out.gguf", trust_template=True)


def test_gens_template_is_not_streams_and_the_other_way(tmp_path: Path) -> None:
    for form in ({"template": reference.TEMPLATE, "inner": 32}, {"template": TEMPLATE}):
        folder = write_checkpoint(tmp_path / "c", **form, **SMALL)
        with pytest.raises(ConversionError, match="does not write what Qwen3Guard reads"):
            convert(folder, tmp_path / "out.gguf")


def test_what_we_write_is_what_qwen3s_own_template_writes(tmp_path: Path, shared: Path) -> None:
    settings = json.loads((shared / "tokenizer" / "tokenizer_config.json").read_text("utf-8"))
    if not settings.get("chat_template"):
        pytest.skip("needs a tokenizer_config.json with Qwen3's chat template")
    folder = write_checkpoint(tmp_path / "c", template=settings["chat_template"], inner=32, **SMALL)
    convert(folder, tmp_path / "out.gguf", type="bf16")


def test_the_sizes_of_the_larger_ones_come_from_config(folder: Path) -> None:
    assert read_config(folder).inner == 32
    assert heads.shapes(4096, 2048)["query_category_head.weight"] == (9, 2048)


def test_the_categories_are_gens_in_another_order() -> None:
    assert sorted(stream.QUERY_CATEGORIES) == sorted(CATEGORIES)
    assert stream.RISKS == ("Safe", "Unsafe", "Controversial")
    assert [name.split()[0] for name in stream.QUERY_CATEGORIES] == [
        *("Violent", "Sexual", "Suicide", "Politically", "PII", "Copyright", "Non-violent"),
        *("Unethical", "Jailbreak"),
    ]
    assert stream.QUERY_CATEGORIES[:-1] == stream.RESPONSE_CATEGORIES
