"""Quantize with an importance matrix, to see with `edgeguard eval --compare` whether it helps.

    pip install torch transformers
    edgeguard convert CHECKPOINT --type bf16 --out bf16.gguf
    edgeguard convert CHECKPOINT --type q4_k_m --out q4_k_m.gguf
    python benchmarks/importance.py --checkpoint CHECKPOINT --bf16 bf16.gguf --out matrix.gguf \
        --data ../shared/data/train
    edgeguard eval --compare bf16.gguf q4_k_m.gguf matrix.gguf ../shared/data/eval --limit 100

The matrix holds, for each weight and input channel, the mean square of the activations over the
questions about a few rows of each set; llama.cpp's quantizer weighs its errors by it. It is made in
torch from the checkpoint and given to the quantizer as its C interface takes it.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
import torch
from transformers import AutoModelForCausalLM

from edgeguard.evaluation.rows import read_rows, sample
from edgeguard.gguf.content import write_digest
from edgeguard.session.llama import LlamaSession
from edgeguard.tokens import QuestionTokenizer

FILE_TYPES = {
    "q4_k_m": "LLAMA_FTYPE_MOSTLY_Q4_K_M",
    "q4_k_s": "LLAMA_FTYPE_MOSTLY_Q4_K_S",
    "q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0",
}
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Names of the weights in a checkpoint and in a GGUF file."""


_LONGEST = 2048  # tokens; torch holds the activations of a whole question


def activations(checkpoint: str, questions: list[list[int]]) -> dict[str, torch.Tensor]:
    """The mean square of each input channel of each weight, float32 (channels,)."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def listener(name: str) -> Callable[[Any, Any], None]:
        def listen(_module: Any, inputs: Any) -> None:
            squares = inputs[0].reshape(-1, inputs[0].shape[-1]).double().square()
            sums[name] = sums.get(name, 0) + squares.sum(0)
            counts[name] = counts.get(name, 0) + len(squares)

        return listen

    for number, layer in enumerate(model.model.layers):
        for name, ours in NAMES.items():
            module = layer.get_submodule(name)
            module.register_forward_pre_hook(listener(f"blk.{number}.{ours}.weight"))
    # The embedding is the output too: the official models tie them.
    model.lm_head.register_forward_pre_hook(listener("token_embd.weight"))
    with torch.no_grad():
        for tokens in questions:
            model(torch.tensor([tokens]))
    return {name: (total / counts[name]).float() for name, total in sums.items()}


def quantize(source: Path, out: Path, file_type: str, matrix: dict[str, torch.Tensor]) -> None:
    """Quantize with a matrix, by llama.cpp."""
    arrays = {name.encode(): values.numpy() for name, values in matrix.items()}
    entries = (llama_cpp.llama_model_imatrix_data * (len(arrays) + 1))()  # ends with a null name
    for entry, (name, values) in zip(entries, arrays.items()):
        entry.name, entry.size = name, values.size
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, FILE_TYPES[file_type])
    params.imatrix = entries
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), params)
    assert code == 0, code
    write_digest(out)  # the one that was copied is of the source


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--checkpoint", required=True, help="the folder in Hugging Face form")
    parser.add_argument("--bf16", type=Path, required=True, help="the same as GGUF in bf16")
    parser.add_argument("--data", required=True, help="labelled rows that are not measured on")
    parser.add_argument("--rows", type=int, default=15, help="rows of each set")
    parser.add_argument("--type", choices=FILE_TYPES, default="q4_k_m")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = sample(read_rows([options.data]), options.rows, seed=0)
    session = LlamaSession(options.bf16, n_ctx=4096, device="cpu")
    ask = QuestionTokenizer(session)
    asked = [list(ask.question(row.messages).tokens) for row in rows]
    session.close()
    questions = [tokens for tokens in asked if len(tokens) <= _LONGEST]
    print(f"{len(questions)} questions")
    quantize(options.bf16, options.out, options.type, activations(options.checkpoint, questions))


if __name__ == "__main__":
    main()
