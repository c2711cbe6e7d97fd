"""Checkpoints that are something else, or were whole once: each refused in a line of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import to_bf16, write_checkpoint, write_json, write_safetensors
from gguf_files import ARRAY, Parts, texts
from reference import TEMPLATE

from edgeguard.convert import convert, finishing, output
from edgeguard.errors import ConversionError

SMALL: dict[str, Any] = {"hidden": 64, "ffn": 128, "heads": 2, "kv_heads": 1, "head_dim": 32}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint", **SMALL)


def _refused(folder: Path, *, kind: str = "bf16", trust: bool = True) -> str:
    """Why it is not converted, within seconds, and with nothing left behind."""
    out, started = folder.parent / "out.gguf", time.monotonic()
    before = sorted(os.fsencode(path.name) for path in folder.parent.iterdir())
    with pytest.raises(ConversionError) as error:
        convert(folder, out, type=kind, trust_template=trust)
    assert time.monotonic() - started < 20
    assert sorted(os.fsencode(path.name) for path in folder.parent.iterdir()) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def _change(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content))


# The template


def test_no_template_is_no_qwen3guard(folder: Path) -> None:
    assert "no chat template" in (said := _refused(folder, trust=False))
    assert "--trust-template" in said
    (folder / "tokenizer_config.json").unlink()
    assert "--trust-template" in _refused(folder, trust=False)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    convert(folder, folder.parent / "out.gguf", type="bf16")


def test_a_template_that_is_trusted_must_still_be_ours_where_there_is_one(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("something else", encoding="utf-8")
    assert "does not write what Qwen3Guard reads" in _refused(folder, trust=True)


def test_the_command_takes_it_by_name(folder: Path) -> None:
    command = [sys.executable, "-m", "edgeguard", "convert", str(folder), "--type", "bf16"]
    command += ["--out", str(folder.parent / "out.gguf")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "--trust-template" in done.stderr
    done = subprocess.run([*command, "--trust-template"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Weights


@pytest.mark.parametrize("kind", ["bf16", "f16", "q8_0", "q4_k_m"])
def test_a_zeroed_half(folder: Path, kind: str) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert "of zeros in a row: a part of the file is missing" in _refused(folder, kind=kind)


def test_a_hole_anywhere(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for place in range(start, len(data) - 8192, (len(data) - start) // 7):
        path.write_bytes(data[:place] + bytes(8192) + data[place + 8192 :])
        assert "of zeros in a row" in _refused(folder)


def test_rows_of_padding_may_be_empty(folder: Path) -> None:
    """Only those: the embedding of a token that there is may not."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    first, end = json.loads(data[8 : 8 + length])["model.embed_tokens.weight"]["data_offsets"]
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    used = len(tokens["model"]["vocab"]) + len(tokens["added_tokens"])
    padding = 8 + length + first + used * 64 * 2
    data[padding : 8 + length + end] = bytes(8 + length + end - padding)
    path.write_bytes(data)
    convert(folder, folder.parent / "out.gguf", type="bf16", trust_template=True)
    data[padding - 8192 : padding] = bytes(8192)
    path.write_bytes(data)
    (folder.parent / "out.gguf").unlink()
    assert "of zeros in a row" in _refused(folder)


# Sizes that would take all the memory


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_hidden_layers", 10**9, "beyond 512"),
        ("num_hidden_layers", 500, r"lacks the tensor"),
        ("vocab_size", 2**31 - 1, "belong to different checkpoints"),
        ("hidden_size", 2**31 - 1, "belong to different checkpoints"),
    ],
)
def test_sizes_are_held_against_the_tensors_first(
    folder: Path, key: str, value: int, said: str
) -> None:
    _change(folder / "config.json", lambda config: config.update({key: value}))
    assert said in _refused(folder)


# The tokenizer


def _cut(tokenizer: Any) -> None:
    del tokenizer["model"]["merges"][100:]


def _reverse(tokenizer: Any) -> None:
    tokenizer["model"]["merges"].reverse()


def _add(text: str) -> Callable[[Any], None]:
    def add(tokenizer: Any) -> None:
        last = tokenizer["added_tokens"][-1]["id"]
        token = {"id": last + 1, "content": text, "special": True}
        tokenizer["added_tokens"].append(token)

    return add


def _rename(tokenizer: Any) -> None:
    """A token of the vocabulary that no character stands for."""
    vocab = tokenizer["model"]["vocab"]
    number = max(vocab.values())
    (name,) = (key for key, value in vocab.items() if value == number)
    del vocab[name]
    vocab["\ud800"] = number
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_cut, r"no merge makes"),
        (_reverse, "not in the order in which they were learned"),
        (_add("a\0b"), "NUL"),
        (_add("\ud800"), "surrogate"),
        (_rename, "surrogate"),
        (_add("[PAD1000]"), "two of its tokens have one text"),
    ],
    ids=["cut", "reversed", "NUL", "surrogate", "surrogate in the vocabulary", "padding's name"],
)
@pytest.mark.parametrize("kind", ["bf16", "q8_0"])
def test_a_tokenizer_that_cannot_be(
    tmp_path: Path, change: Callable[[Any], None], said: str, kind: str
) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", **SMALL, vocab=1024)
    _change(folder / "tokenizer.json", change)
    assert said in _refused(folder, kind=kind)


def test_another_order_of_the_published_vocabulary_is_noted(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_checkpoint(tmp_path / "c", **SMALL, layers=1, tokenizer=shared / "tokenizer")
    convert(folder, tmp_path / "sound.gguf", type="bf16", trust_template=True)
    assert "is not the published tokenizer" not in caplog.text

    def exchange(tokenizer: Any) -> None:
        vocab = tokenizer["model"]["vocab"]
        first, second = sorted(vocab, key=vocab.__getitem__)[1000:1002]
        vocab[first], vocab[second] = vocab[second], vocab[first]

    _change(folder / "tokenizer.json", exchange)
    convert(folder, tmp_path / "exchanged.gguf", type="bf16", trust_template=True)
    assert "is not the published tokenizer" in caplog.text


# Files that are no files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"),
        *("model.safetensors", "chat_template.jinja"),
    ],
)
def test_a_pipe_or_a_device_is_not_waited_for(folder: Path, name: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert f"{path} cannot be read: not a regular file" in _refused(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert f"{path} cannot be read: not a regular file" in _refused(folder)


def test_a_small_file_without_end(folder: Path) -> None:
    os.truncate(folder / "config.json", 2**33)
    assert "config.json cannot be read" in _refused(folder)


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="has names in Unicode only")
def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / os.fsdecode(b"\xff\xfe checkpoint"), **SMALL)
    out = tmp_path / os.fsdecode(b"out \xff.gguf")
    command = [sys.executable, "-m", "edgeguard", "convert", "--trust-template", "--type", "q8_0"]
    done = subprocess.run(
        [*map(os.fsencode, command), os.fsencode(folder), b"--out", os.fsencode(out)],
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    name = gguf.GGUFReader(out).fields["general.name"].contents()
    assert name == "\ufffd\ufffd checkpoint"


# Other things that people have


def _pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")


def test_pointers_of_git_lfs(folder: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        whole = (folder / name).read_bytes()
        _pointer(folder / name)
        assert "is a pointer of Git LFS and not the file; type `git lfs pull`" in _refused(folder)
        (folder / name).write_bytes(whole)


def test_an_adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    assert "a PEFT adapter (LoRA) and not a model: merge it" in _refused(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("_orig_mod.model.norm.weight", "torch.compile"),
        ("base_model.model.model.norm.weight", "PEFT adapter"),
        ("model.layers.0.self_attn.q_proj.lora_A.weight", "PEFT adapter"),
        ("model.layers.0.self_attn.q_proj.qweight", "GPTQ or AWQ"),
        ("model.layers.0.self_attn.q_proj.weight_scale_inv", "FP8"),
        ("model.layers.0.self_attn.q_proj.weight.absmax", "bitsandbytes"),
        ("module.model.norm.weight", "DataParallel"),
    ],
)
def test_names_that_tell(folder: Path, name: str, said: str) -> None:
    values = to_bf16(np.ones(64)).tobytes()
    write_safetensors(folder / "model.safetensors", {name: ("BF16", (64,), iter([values]))})
    assert said in _refused(folder)


def test_fp8_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"BF16"', b'"F8_E"'))
    assert "take the checkpoint in bfloat16" in _refused(folder)


def test_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "as pickles, which can run code and are not read" in _refused(folder)


def test_gguf_files(folder: Path, tmp_path: Path) -> None:
    made = convert(folder, tmp_path / "made.gguf", type="bf16", trust_template=True).path
    assert "is a GGUF file already" in _refused(made)
    other = tmp_path / "other"
    other.mkdir()
    made.rename(other / "made.gguf")
    assert "holds GGUF files, which need no conversion" in _refused(other)


# The file that was made


def test_what_llama_cpp_does_not_survive_is_no_result(folder: Path, tmp_path: Path) -> None:
    """Past our own look, as the next thing that we do not know of would be."""
    made = convert(folder, tmp_path / "made.gguf", type="bf16", trust_template=True).path
    parts = Parts(made.read_bytes())
    tokens = parts.strings("tokenizer.ggml.tokens")
    tokens[5] = tokens[6]
    made.write_bytes(parts.with_keys({"tokenizer.ggml.tokens": (ARRAY, texts(tokens))}))
    with pytest.raises(ConversionError, match="cannot be read back") as error:
        finishing._read_back(made)
    assert "\n" not in str(error.value)


def test_leftovers_of_a_kill_do_not_count_as_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".out.gguf.0123abcd.part"
    left.write_bytes(bytes(1000))
    seen: list[bool] = []
    monkeypatch.setattr(output, "check_space", lambda *_args: seen.append(left.exists()))
    convert(folder, tmp_path / "out.gguf", type="bf16", trust_template=True)
    assert seen == [False]
