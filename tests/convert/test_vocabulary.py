"""Only a tokenizer that does what llama.cpp's qwen2 does is taken, and it is taken whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reference
from checkpoints import make_tokenizer, make_tokenizer_config, write_checkpoint, write_json

from edgeguard.convert import convert
from edgeguard.convert.config import Config, read_config
from edgeguard.convert.vocabulary import Vocabulary, read_vocabulary
from edgeguard.errors import ConversionError

Spec = dict[str, Any]
SMALL = {"hidden": 32, "ffn": 32, "heads": 2, "kv_heads": 1, "head_dim": 8, "layers": 1}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return read_config(write_checkpoint(tmp_path_factory.mktemp("c"), **SMALL))  # type: ignore[arg-type]


def read(folder: Path, config: Config, spec: Spec, settings: Spec | None = None) -> Vocabulary:
    write_json(folder / "tokenizer.json", spec)
    if settings is not None:
        write_json(folder / "tokenizer_config.json", settings)
    return read_vocabulary(folder, config)


def added(**fields: object) -> Spec:
    return make_tokenizer()["added_tokens"][0] | fields  # type: ignore[no-any-return]


def test_both_forms_of_merges_give_the_same(tmp_path: Path, config: Config) -> None:
    spec = make_tokenizer()
    pairs = read(tmp_path, config, spec)
    spec["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    assert read(tmp_path, config, spec) == pairs


def test_a_checkpoint_without_tokenizer_config(tmp_path: Path, config: Config) -> None:
    assert read(tmp_path, config, make_tokenizer()).special_ids == {"bos": 587, "eos": 589}


def test_tokenizer_config_names_special_tokens_before_config(
    tmp_path: Path, config: Config
) -> None:
    spec = make_tokenizer()
    settings = make_tokenizer_config(spec, 4096) | {"eos_token": {"content": "</think>"}}
    found = read(tmp_path, config, spec, settings).special_ids
    assert found == {"bos": 587, "eos": 612, "pad": 587}


def test_a_token_that_only_tokenizer_config_has(tmp_path: Path, config: Config) -> None:
    spec = make_tokenizer()
    settings = make_tokenizer_config(spec, 4096)
    settings["added_tokens_decoder"]["613"] = added(content="<|more|>", special=False)
    found = read(tmp_path, config, spec, settings)
    assert (found.tokens[613], found.types[613]) == ("<|more|>", 3)
    assert (found.tokens[614], found.types[614]) == ("[PAD614]", 5)


RULES: list[tuple[Callable[[Spec], object], str]] = [
    (lambda s: s.update(normalizer=None), "normalizer is not Qwen3's"),
    (lambda s: s.update(normalizer={"type": "NFKC"}), "normalizer is not Qwen3's"),
    (lambda s: s.update(pre_tokenizer=None), "pre_tokenizer is not Qwen3's"),
    (lambda s: s["pre_tokenizer"]["pretokenizers"].pop(), "pre_tokenizer is not Qwen3's"),
    (
        # Qwen2.5's neighbours split digits in threes: another `pre` of llama.cpp.
        lambda s: s["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex=r"\p{N}{1,3}"),
        "pre_tokenizer is not Qwen3's",
    ),
    (
        lambda s: s["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        "pre_tokenizer is not Qwen3's",
    ),
    (lambda s: s.update(post_processor={"type": "TemplateProcessing"}), "post_processor is not"),
    (lambda s: s.update(decoder={"type": "WordPiece"}), "decoder is not"),
    (lambda s: s["model"].update(type="Unigram"), "model is not"),
    (lambda s: s["model"].update(dropout=0.1), "model is not"),
    (lambda s: s["model"].update(byte_fallback=True), "model is not"),
    (lambda s: s["model"].update(ignore_merges=True), "model is not"),
    (lambda s: s.update(model=None), "model is not"),
]


@pytest.mark.parametrize(("change", "said"), RULES)
def test_other_rules(
    tmp_path: Path, config: Config, change: Callable[[Spec], object], said: str
) -> None:
    spec = make_tokenizer()
    change(spec)
    with pytest.raises(ConversionError, match=said) as error:
        read(tmp_path, config, spec)
    assert "\n" not in str(error.value)


CONTENT: list[tuple[Callable[[Spec], object], str]] = [
    (lambda s: s["model"].update(vocab=[]), "vocab is not a table"),
    (lambda s: s["model"]["vocab"].update({"!": "0"}), "vocab is not a table"),
    (lambda s: s["model"]["vocab"].update({"!": True}), "vocab is not a table"),
    (lambda s: s["model"]["vocab"].update({"!": -1}), "vocab is not a table"),
    (lambda s: s["model"]["vocab"].pop("Ġ"), "lacks the byte token 'Ġ'"),
    (lambda s: s["model"]["vocab"].update({"!": 1}), "do not count up from 0"),
    (lambda s: s["model"]["vocab"].update({"!": 2**30}), "do not count up from 0"),
    (lambda s: s["model"].update(merges=[]), "no merges"),
    (lambda s: s["model"].update(merges=None), "no merges"),
    (lambda s: s["model"]["merges"].append(["a"]), "not a pair"),
    (lambda s: s["model"]["merges"].append(["a", 1]), "not a pair"),
    (lambda s: s["model"]["merges"].append("a b c"), "not a pair"),
    (lambda s: s["model"]["merges"].append(["!", "!"]), "merge of ['!', '!'] has no token"),
    (lambda s: s.update(added_tokens="x"), "not a list"),
    (lambda s: s.update(added_tokens=None), "lacks the token <|im_start|>"),
    (lambda s: s["added_tokens"].pop(2), "'<|object_ref_start|>' has the id 590 where 589"),
    (lambda s: s["added_tokens"].append(None), "no text or no id"),
    (lambda s: s["added_tokens"].append(added(content="")), "no text or no id"),
    (lambda s: s["added_tokens"].append(added(content="x", id=None)), "no text or no id"),
    (lambda s: s["added_tokens"].append(added(content="<x>", id=620)), "the id 620 where 613"),
    (lambda s: s["added_tokens"].append(added(content="<x>", id=600)), "the id 600 where 613"),
    (lambda s: s["added_tokens"].append(added(content="a", id=613)), "'a' has the id 613 where"),
    (
        lambda s: s["added_tokens"].extend(
            added(content=f"<{number}>", id=613 + number) for number in range(28)
        ),
        "it has 641 tokens, and config.json's vocab_size is 640",
    ),
]


@pytest.mark.parametrize(("change", "said"), CONTENT)
def test_other_content(
    tmp_path: Path, config: Config, change: Callable[[Spec], object], said: str
) -> None:
    spec = make_tokenizer()
    change(spec)
    with pytest.raises(ConversionError) as error:
        read(tmp_path, config, spec)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("number", "fields"),
    [
        ("587", {"special": False}),
        ("588", {}),
        ("x", {}),
        ("٣", {}),
        ("-1", {}),
    ],
)
def test_two_files_that_disagree(tmp_path: Path, config: Config, number: str, fields: Spec) -> None:
    spec = make_tokenizer()
    settings = {"added_tokens_decoder": {number: added(content="<|endoftext|>", **fields)}}
    with pytest.raises(ConversionError, match=r"disagrees with tokenizer_config|no text or no id"):
        read(tmp_path, config, spec, settings)


def test_a_special_token_beyond_the_vocabulary(tmp_path: Path, config: Config) -> None:
    config.token_ids["pad"] = 640  # type: ignore[index]
    try:
        with pytest.raises(ConversionError, match="the pad token has the id 640 of 640"):
            read(tmp_path, config, make_tokenizer())
    finally:
        del config.token_ids["pad"]  # type: ignore[attr-defined]


def test_a_missing_tokenizer(tmp_path: Path, config: Config) -> None:
    with pytest.raises(ConversionError, match=r"has no tokenizer.json; download"):
        read_vocabulary(tmp_path, config)


def test_the_real_tokenizer(tmp_path: Path, shared: Path) -> None:
    """As Qwen3 publishes it: 151,643 tokens of BPE, 26 added ones, and 267 rows of padding."""
    folder = _real(tmp_path, shared)
    found = read_vocabulary(folder, read_config(folder))
    assert len(found.tokens) == 151_936
    assert found.special_ids == {"bos": 151_643, "eos": 151_645, "pad": 151_643}
    assert found.tokens[151_668] == "</think>"
    assert found.tokens[151_669] == "[PAD151669]"
    assert {kind: found.types.count(kind) for kind in (1, 3, 4, 5)} == {
        1: 151_643,
        3: 20,
        4: 6,
        5: 267,
    }


@pytest.mark.reference
def test_the_reference_recognises_the_real_tokenizer_and_writes_the_same(
    tmp_path: Path, shared: Path
) -> None:
    if reference.command() is None:
        pytest.skip("needs llama.cpp's converter: set REFERENCE_CONVERTER and REFERENCE_PYTHON")
    folder = _real(tmp_path, shared)
    theirs = reference.run(folder, tmp_path / "theirs.gguf", "bf16", known_tokenizer=True)
    ours = convert(folder, tmp_path / "ours.gguf", type="bf16", trust_template=True).path
    found, expected = reference.describe(ours), reference.describe(theirs)
    assert found["tensors"] == expected["tensors"]
    for key in expected["metadata"].keys() - {"general.name"}:
        assert found["metadata"][key] == expected["metadata"][key]


def _real(folder: Path, shared: Path) -> Path:
    form: dict[str, Any] = {**SMALL, "vocab": 151_936, "tokenizer": shared / "tokenizer"}
    return write_checkpoint(folder / "checkpoint", **form)
