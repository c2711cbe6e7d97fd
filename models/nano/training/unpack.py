"""Reads a GGUF file of nano back into a checkpoint folder, to train on from what is shipped.

    python models/nano/training/unpack.py nano.gguf DIR --real-tokenizer ../shared/tokenizer

The weights are those of the file, rounded as its type rounds. It knows nano's own layout and no
other model's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file

NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def weights(reader: GGUFReader) -> dict[str, torch.Tensor]:
    """The tensors in float32, under Hugging Face's names."""
    out = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        out[_name(tensor.name)] = torch.from_numpy(values.copy())
    return out


def _name(name: str) -> str:
    """ "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"."""
    if name.startswith("blk."):
        _, layer, kind, _ = name.split(".")
        return f"model.layers.{layer}.{NAMES[kind]}.weight"
    return {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
    }[name]


def tokenizer(reader: GGUFReader, real: Path) -> dict[str, object]:
    """The tokenizer.json of the file: the real one, with the file's tokens and merges alone."""
    spec: dict[str, object] = json.loads((real / "tokenizer.json").read_text())
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    ids = {token: n for n, token in enumerate(tokens)}
    model, added = spec["model"], spec["added_tokens"]
    assert isinstance(model, dict) and isinstance(added, list)
    for entry in added:
        entry["id"] = ids.pop(entry["content"])
    model["vocab"] = {token: n for token, n in ids.items() if not token.startswith("[PAD")}
    model["merges"] = reader.fields["tokenizer.ggml.merges"].contents()
    return spec


def unpack(file: Path, folder: Path, real: Path) -> None:
    """Write model.safetensors, tokenizer.json and tokenizer_config.json into `folder`."""
    reader = GGUFReader(file)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights(reader), folder / "model.safetensors", metadata={"format": "pt"})
    spec = tokenizer(reader, real)
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False))
    config = json.loads((real / "tokenizer_config.json").read_text())
    old = {entry["content"]: entry for entry in config["added_tokens_decoder"].values()}
    added = spec["added_tokens"]
    assert isinstance(added, list)
    config["added_tokens_decoder"] = {str(a["id"]): old[a["content"]] for a in added}
    config["model_max_length"] = 4096
    config.pop("chat_template", None)
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("gguf", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--real-tokenizer", type=Path, required=True, help="Qwen3's tokenizer")
    a = parser.parse_args()
    unpack(a.gguf, a.folder, a.real_tokenizer)


if __name__ == "__main__":
    main()
