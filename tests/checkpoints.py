"""Random Qwen3 checkpoints in the form that the Hugging Face hub serves, for tests and benchmarks.

The weights mean nothing. Files are the same bytes on every machine and under every numpy: the
numbers come from the raw stream of PCG64, which numpy never changes (NEP 19), by integer
arithmetic. The tokenizer is a real byte-level BPE with the normalizer, pre-tokenizer and special
tokens of Qwen3, small enough to be built here; a folder with another one can be named instead.

This module knows nothing of GGUF, and uses no torch.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Shape = tuple[int, ...]

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
NOT_SPECIAL = (
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>"),
    *("<think>", "</think>"),
)
"""Added tokens of Qwen3 in id order; the first group is marked special in tokenizer.json."""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen3's tokenizer splits a text before BPE."""

_TEXT = """
Safety: Safe
Categories: None
Refusal: Yes
Safety: Unsafe
Categories: Violent, Non-violent Illegal Acts, Sexual Content or Sexual Acts, PII, Jailbreak
Refusal: No
Safety: Controversial
Categories: Suicide & Self-Harm, Unethical Acts, Politically Sensitive Topics, Copyright Violation
Jailbreak
Violent
user
assistant
system
Evaluate whether the last query belongs to safe or unsafe content based on our safety policy.
Identify the category of unsafe content found. The first line must be one of these words.
The second line should start with a list of any categories, separated by commas. If the content
is safe, use none. Provide your assessment for only the last response in the above conversation.
What is the capital of France? The capital of France is Paris. How do I bake bread with my
children on a rainy day? Please write a short letter to my grandmother about the garden.
"""

_BLOCK = 1 << 20  # random values made at a time


def write_checkpoint(
    folder: Path,
    *,
    hidden: int = 256,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 64,
    ffn: int = 512,
    context: int = 4096,
    vocab: int | None = None,
    tied: bool = True,
    duplicate_head: bool = False,
    shards: int = 1,
    dtype: str = "BF16",
    seed: int = 0,
    tokenizer: Path | None = None,
    vocabulary: int = 0,
    template: str | None = None,
    inner: int | None = None,
) -> Path:
    """Write a checkpoint of the given form into `folder`, which is made, and return it.

    `vocab` is the number of rows of the embedding; by default the tokenizer's size rounded up to
    the next multiple of 64 above it, so that there are padding rows as in the published models.
    `duplicate_head` stores the tied embedding a second time as lm_head.weight, as the published
    Qwen3Guard-Gen-0.6B does. `tokenizer` is a folder with tokenizer.json to copy from;
    without one it is made here, with at least `vocabulary` tokens before the added ones.
    With `inner`, the width of its heads, it is a Qwen3Guard-Stream's: no lm_head, and two heads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = _write_tokenizer(folder, tokenizer, vocabulary, template, context)
    size = len(spec["model"]["vocab"]) + len(spec["added_tokens"])
    rows = vocab or (size // 64 + 1) * 64
    ids = {token["content"]: token["id"] for token in spec["added_tokens"]}
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "head_dim": head_dim,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": context,
        "max_window_layers": layers,
        "model_type": "qwen3",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "tie_word_embeddings": tied,
        "torch_dtype": {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[dtype],
        "transformers_version": "4.51.0",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": rows,
    }
    if inner is not None:
        config |= stream_config(inner)
    write_json(folder / "config.json", config)
    generation = {
        "bos_token_id": ids["<|endoftext|>"],
        "do_sample": True,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "transformers_version": "4.51.0",
    }
    write_json(folder / "generation_config.json", generation)
    shapes = tensor_shapes(hidden, layers, heads, kv_heads, head_dim, ffn, rows)
    if (tied and not duplicate_head) or inner is not None:
        del shapes["lm_head.weight"]
    if inner is not None:
        shapes = dict(sorted((shapes | head_shapes(hidden, inner)).items()))
    _write_weights(folder, shapes, shards, dtype, seed, tied)
    return folder


def tensor_shapes(
    hidden: int, layers: int, heads: int, kv_heads: int, head_dim: int, ffn: int, rows: int
) -> dict[str, Shape]:
    """Names and shapes of Qwen3's tensors, sorted by name as safetensors stores them."""
    shapes: dict[str, Shape] = {
        "lm_head.weight": (rows, hidden),
        "model.embed_tokens.weight": (rows, hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(layers):
        block = {
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
            "self_attn.q_norm": (head_dim,),
            "self_attn.k_norm": (head_dim,),
            "self_attn.q_proj": (heads * head_dim, hidden),
            "self_attn.k_proj": (kv_heads * head_dim, hidden),
            "self_attn.v_proj": (kv_heads * head_dim, hidden),
            "self_attn.o_proj": (hidden, heads * head_dim),
            "mlp.gate_proj": (ffn, hidden),
            "mlp.up_proj": (ffn, hidden),
            "mlp.down_proj": (hidden, ffn),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in block.items()}
    return dict(sorted(shapes.items()))


def head_shapes(hidden: int, inner: int) -> dict[str, Shape]:
    """Names and shapes of the heads of Qwen3Guard-Stream, as public ports load them."""
    return {
        f"{side}{name}.weight": shape
        for side, categories in (("", 8), ("query_", 9))
        for name, shape in (
            ("risk_level_category_pre", (inner, hidden)),
            ("risk_level_category_layernorm", (inner,)),
            ("risk_level_head", (3, inner)),
            ("category_head", (categories, inner)),
        )
    }


def stream_config(inner: int) -> dict[str, Any]:
    """What the config.json of a Qwen3Guard-Stream says besides."""
    risks = ("Safe", "Unsafe", "Controversial")
    categories = (
        *("Violent", "Sexual Content or Sexual Acts", "Suicide & Self-Harm"),
        *("Politically Sensitive Topics", "PII", "Copyright Violation"),
        *("Non-violent Illegal Acts", "Unethical Acts", "Jailbreak"),
    )
    by_index = {
        "response_risk_level_map": risks,
        "response_category_map": categories[:-1],
        "query_risk_level_map": risks,
        "query_category_map": categories,
    }
    return {
        "architectures": ["Qwen3ForGuardModel"],
        "guard_inner_size": inner,
        "num_risk_level": 3,
        "num_category": 8,
        "num_query_risk_level": 3,
        "num_query_category": 9,
        **{name: {str(n): v for n, v in enumerate(labels)} for name, labels in by_index.items()},
    }


def write_json(path: Path, content: object) -> None:
    """Write JSON the way the files on the hub look."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def write_safetensors(path: Path, tensors: dict[str, tuple[str, Shape, Iterator[bytes]]]) -> None:
    """Write one safetensors file; each tensor is its dtype, its shape and its bytes in blocks."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, _) in tensors.items():
        start, end = end, end + int(np.prod(shape, dtype=np.int64)) * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, blocks in tensors.values():
            for block in blocks:
                file.write(block)


def to_bf16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float32 to bfloat16 bits in uint16, rounded to nearest, ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")


def _write_weights(
    folder: Path, shapes: dict[str, Shape], shards: int, dtype: str, seed: int, tied: bool
) -> None:
    names = list(shapes)
    cuts = [len(names) * number // shards for number in range(shards + 1)]
    files = [names[start:end] for start, end in pairwise(cuts)]
    weight_map: dict[str, str] = {}
    for number, group in enumerate(files, 1):
        single = shards == 1
        name = "model.safetensors" if single else f"model-{number:05}-of-{shards:05}.safetensors"
        weight_map |= dict.fromkeys(group, name)
        tensors = {n: (dtype, shapes[n], _random(n, shapes[n], dtype, seed, tied)) for n in group}
        write_safetensors(folder / name, tensors)
    if shards > 1:
        total = sum(int(np.prod(shape)) for shape in shapes.values()) * (4 if dtype == "F32" else 2)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        write_json(folder / "model.safetensors.index.json", index)


def _random(name: str, shape: Shape, dtype: str, seed: int, tied: bool) -> Iterator[bytes]:
    """About N(0, 0.02), and about N(1, 0.02) for norms: sums of four uniform 16-bit integers."""
    source = "model.embed_tokens.weight" if tied and name == "lm_head.weight" else name
    stream = np.random.PCG64([seed, *source.encode()])
    mean = np.float32(1 if len(shape) == 1 else 0)
    scale = np.float32(0.02 / (65536 * (4 / 12) ** 0.5))
    left = int(np.prod(shape, dtype=np.int64))
    while left:
        count = min(left, _BLOCK)
        raw = stream.random_raw(count).astype("<u8").view("<u2").reshape(-1, 4)
        centred = raw.sum(axis=1, dtype=np.int32) - 131070
        values = centred.astype(np.float32) * scale + mean
        if dtype == "BF16":
            yield to_bf16(values).tobytes()
        else:
            yield values.astype({"F16": "<f2", "F32": "<f4"}[dtype]).tobytes()
        left -= count


def _write_tokenizer(
    folder: Path, source: Path | None, vocabulary: int, template: str | None, context: int
) -> dict[str, Any]:
    if source is None:
        spec = make_tokenizer(vocabulary)
        write_json(folder / "tokenizer.json", spec)
        config = make_tokenizer_config(spec, context)
    else:
        shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
        spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
        config.pop("chat_template", None)
    if template is not None:
        config["chat_template"] = template
    write_json(folder / "tokenizer_config.json", config)
    return spec


def make_tokenizer(vocabulary: int = 0) -> dict[str, Any]:
    """A tokenizer.json of Qwen3's form, filled up to `vocabulary` with meaningless merges."""
    pairs = list(_learn_merges())
    vocab = {token: number for number, token in enumerate(byte_alphabet())}
    for left, right in pairs:
        vocab.setdefault(left + right, len(vocab))
    for pair in _made_up(list(vocab), vocab, vocabulary - len(vocab)):
        pairs.append(pair)
        vocab[pair[0] + pair[1]] = len(vocab)
    added = [
        {
            "id": len(vocab) + number,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": content in SPECIAL,
        }
        for number, content in enumerate(SPECIAL + NOT_SPECIAL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    byte_level["use_regex"] = False
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated"}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split | {"invert": False}, byte_level],
        },
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [list(pair) for pair in pairs],
        },
    }


def make_tokenizer_config(spec: dict[str, Any], context: int) -> dict[str, Any]:
    """The tokenizer_config.json that goes with `spec`, without a chat template."""
    decoder = {
        str(token["id"]): {key: value for key, value in token.items() if key != "id"}
        for token in spec["added_tokens"]
    }
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": decoder,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": context,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def byte_alphabet() -> list[str]:
    """The characters that stand for the 256 bytes in byte-level BPE, in GPT-2's id order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


def _made_up(seeds: list[str], taken: dict[str, int], count: int) -> Iterator[tuple[str, str]]:
    """`count` pairs of known tokens whose join is a new token each."""
    seen = set(taken)
    for left in seeds:
        for right in seeds:
            if count <= 0:
                return
            if left + right not in seen:
                seen.add(left + right)
                count -= 1
                yield left, right


@lru_cache
def _learn_merges() -> tuple[tuple[str, str], ...]:
    """Plain BPE training: join the commonest pair of neighbours until whole words are left."""
    pieces = re.findall(r" ?[A-Za-z]+| ?[^A-Za-z\s]+|\s+", _TEXT)
    spelled = [piece.replace(" ", "Ġ").replace("\n", "Ċ") for piece in pieces]
    words = {tuple(piece): count for piece, count in Counter(spelled).items()}
    merges: list[tuple[str, str]] = []
    while pairs := _neighbours(words):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {_join(word, best): count for word, count in words.items()}
    return tuple(merges)


def _neighbours(words: dict[tuple[str, ...], int]) -> Counter[tuple[str, str]]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            pairs[pair] += count
    return pairs


def _join(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined: list[str] = []
    for token in word:
        if joined and (joined[-1], token) == pair:
            joined[-1] += token
        else:
            joined.append(token)
    return tuple(joined)
