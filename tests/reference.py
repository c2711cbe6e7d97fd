"""llama.cpp's own converter, and what it makes of small checkpoints.

    REFERENCE_CONVERTER=…/convert_hf_to_gguf.py REFERENCE_PYTHON=…/python \\
        python tests/reference.py

writes tests/convert/fingerprints.json: for each form of checkpoint the metadata and the sha256 of
every tensor that the reference produced. Tests compare with these everywhere, and with the
reference itself where the two variables name it. The script is in the sdist of llama-cpp-python,
under vendor/llama.cpp; the Python needs torch, transformers and sentencepiece.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from checkpoints import write_checkpoint, write_json

DATA = Path(__file__).resolve().parent / "convert"
TEMPLATE = (DATA / "question.jinja").read_text(encoding="utf-8")
FINGERPRINTS = DATA / "fingerprints.json"
WRITTEN = ("bf16", "f16", "q8_0")
"""Types that the reference converter writes by itself."""

FORMS: dict[str, dict[str, Any]] = {
    "0.6b": {"template": TEMPLATE},
    "0.6b as published": {"duplicate_head": True},
    "4b": {"shards": 2, "seed": 4},
    "8b": {"shards": 3, "tied": False, "seed": 8, "layers": 11, "ffn": 256},
    "f16": {"dtype": "F16", "seed": 16},
    "f32": {"dtype": "F32", "seed": 32},
    "odd tokens": {"hidden": 32, "ffn": 32, "head_dim": 8, "vocab": 704},
    "narrow": {"hidden": 64, "heads": 3, "kv_heads": 1, "head_dim": 32, "ffn": 96, "seed": 3},
}
"""Arguments of write_checkpoint for each form that is published, and some that are not."""

ODD = "odd tokens"
"""A form whose tokenizer has added tokens of every kind."""

_RUN = """
import os, runpy, sys
script, known = sys.argv[1:3]
sys.argv[:3] = [script]
sys.path[:0] = [os.path.dirname(script), os.path.join(os.path.dirname(script), "gguf-py")]
from conversion import base
# It knows tokenizers by a hash of what they make of a test text, and a small one is unknown.
if known == "unknown":
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
runpy.run_path(script, run_name="__main__")
"""


def write(form: str, folder: Path) -> Path:
    """Write the checkpoint of a form."""
    write_checkpoint(folder, **FORMS[form])
    if form == ODD:
        _add_tokens(folder)
    return folder


def _add_tokens(folder: Path) -> None:
    """More added tokens: looking special, with spaces, and one that the vocabulary has too."""
    path, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    spec, config = json.loads(path.read_text("utf-8")), json.loads(settings.read_text("utf-8"))
    names = (
        "<|not marked|>",
        "<pad>",
        "plain",
        "<unused7>",
        "two words",
        "marked",
        "\u2581under",
        "Safety",
    )
    base = {key: spec["added_tokens"][-1][key] for key in spec["added_tokens"][-1] if key != "id"}
    for number, content in enumerate(names, spec["added_tokens"][-1]["id"] + 1):
        token = base | {"content": content, "special": content == "marked"}
        number = spec["model"]["vocab"].get(content, number)
        spec["added_tokens"].append({"id": number} | token)
        config["added_tokens_decoder"][str(number)] = token
    config["unk_token"] = "<pad>"
    write_json(path, spec)
    write_json(settings, config)


def command(*, known_tokenizer: bool = False) -> list[str] | None:
    """How to start the reference, or None where this machine has none.

    It recognises a published tokenizer by itself; a small one it must be told of.
    """
    script, python = os.environ.get("REFERENCE_CONVERTER"), os.environ.get("REFERENCE_PYTHON")
    known = "known" if known_tokenizer else "unknown"
    return [python or sys.executable, "-c", _RUN, script, known] if script else None


def run(checkpoint: Path, out: Path, file_type: str, *, known_tokenizer: bool = False) -> Path:
    """Convert with the reference."""
    start = command(known_tokenizer=known_tokenizer)
    assert start is not None
    done = subprocess.run(
        [*start, str(checkpoint), "--outtype", file_type, "--outfile", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return out


def describe(path: Path) -> dict[str, Any]:
    """A GGUF file as plain data: its metadata, and each tensor's type, shape and sha256, cut to
    128 bits. Long values are given by length and sha256.
    """
    import gguf

    reader = gguf.GGUFReader(path)
    metadata = {
        key: " ".join([*(kind.name for kind in field.types), _short(field.contents())])
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.")
    }
    tensors = {
        tensor.name: f"{tensor.tensor_type.name} {[int(n) for n in tensor.shape]} "
        + hashlib.sha256(tensor.data.tobytes()).hexdigest()[:32]
        for tensor in reader.tensors
    }
    return {"metadata": metadata, "tensors": tensors}


def _short(value: Any) -> str:
    text = json.dumps(value)
    if len(text) < 100:
        return text
    return f"length {len(value)}, sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def main() -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            checkpoint = write(form, Path(folder) / form / "checkpoint")
            for file_type in WRITTEN:
                out = Path(folder) / "out.gguf"
                found[f"{form}, {file_type}"] = describe(run(checkpoint, out, file_type))
                out.unlink()
                print(form, file_type)
    FINGERPRINTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
