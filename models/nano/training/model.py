"""The Qwen3 architecture in plain torch, under Hugging Face's weight names.

It computes hidden states for a batch that shares its first tokens: the keys and values of the
shared start are computed once (`prefix`) and expanded over the batch (`forward`), and gradients
flow through both.

It does not generate, does not load foreign checkpoints, and has no output head: Qwen3's small
models tie the head to the embedding, so logits are `hidden @ embedding.T`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Config:
    """Sizes of the model; `hidden` and `ffn` are multiples of 256, as K-quants need."""

    vocab: int
    hidden: int = 256
    ffn: int = 768
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    eps: float = 1e-6
    rope_theta: float = 1_000_000.0
    context: int = 4096


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Grouped-query attention with a norm per head on queries and keys, and rotary positions."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.hidden, c.heads * c.head_dim, bias=False)
        self.k_proj = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(c.hidden, c.kv_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)
        self.q_norm = RMSNorm(c.head_dim, c.eps)
        self.k_norm = RMSNorm(c.head_dim, c.eps)

    def forward(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        past: tuple[Tensor, Tensor] | None,
        mask: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        b, n, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(b, n, -1, self.c.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(b, n, -1, self.c.head_dim)).transpose(1, 2)
        v = self.v_proj(x).view(b, n, -1, self.c.head_dim).transpose(1, 2)
        q, k = _rotate(q, rope), _rotate(k, rope)
        fresh = (k, v)
        if past is not None:
            k = torch.cat([past[0].expand(b, -1, -1, -1), k], dim=2)
            v = torch.cat([past[1].expand(b, -1, -1, -1), v], dim=2)
        # Written out: on a CPU this is three times faster backwards than the fused kernel. The
        # query heads that share a key head are stacked along the sequence.
        q = q.reshape(b, self.c.kv_heads, -1, self.c.head_dim) * self.c.head_dim**-0.5
        scores = (q @ k.transpose(-1, -2)).masked_fill(mask, -30000.0)
        y = (scores.softmax(-1) @ v).view(b, self.c.heads, n, self.c.head_dim)
        return self.o_proj(y.transpose(1, 2).reshape(b, n, -1)), fresh


class FeedForward(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden, c.ffn, bias=False)
        self.up_proj = nn.Linear(c.hidden, c.ffn, bias=False)
        self.down_proj = nn.Linear(c.ffn, c.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Config) -> None:
        super().__init__()
        self.self_attn = Attention(c)
        self.mlp = FeedForward(c)
        self.input_layernorm = RMSNorm(c.hidden, c.eps)
        self.post_attention_layernorm = RMSNorm(c.hidden, c.eps)

    def forward(
        self,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        past: tuple[Tensor, Tensor] | None,
        mask: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, fresh = self.self_attn(self.input_layernorm(x), rope, past, mask)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), fresh


class Qwen3(nn.Module):
    """Token ids in, normalised hidden states out."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden, c.eps)
        steps = torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim
        angles = torch.outer(torch.arange(c.context).float(), c.rope_theta**-steps)
        angles = torch.cat([angles, angles], dim=-1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.apply(_initialise)

    def prefix(self, ids: Tensor, positions: Tensor) -> Cache:
        """Keys and values of the shared start, one row for the whole batch."""
        return self._run(ids[None], positions[None], None)[1]

    def forward(
        self, ids: Tensor, positions: Tensor, past: Cache | None = None
    ) -> tuple[Tensor, Tensor]:
        """Of `ids` (batch, n), right-padded: hidden states, and those before the last two layers.

        Both have shape (batch, n, hidden); the first are normalised.
        """
        hidden, _, middle = self._run(ids, positions, past)
        return hidden, middle

    def _run(
        self, ids: Tensor, positions: Tensor, past: Cache | None
    ) -> tuple[Tensor, Cache, Tensor]:
        before = 0 if past is None else past[0][0].shape[2]
        n = ids.shape[1]
        mask = torch.ones(n, before + n, dtype=torch.bool).triu(before + 1)
        mask = mask.repeat(self.c.heads // self.c.kv_heads, 1)
        x = self.embed_tokens(ids)
        rope = (self.cos[positions].to(x.dtype)[:, None], self.sin[positions].to(x.dtype)[:, None])
        cache: Cache = []
        middle = x
        for i, layer in enumerate(self.layers):
            if i == self.c.layers - 2:
                middle = x
            x, fresh = layer(x, rope, None if past is None else past[i], mask)
            cache.append(fresh)
        return self.norm(x), cache, middle


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    half = x.shape[-1] // 2
    return x * rope[0] + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * rope[1]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.04)


def save_checkpoint(model: Qwen3, folder: Path, eos: int, pad: int) -> None:
    """Write config.json, generation_config.json and model.safetensors (bf16) into `folder`."""
    from safetensors.torch import save_file

    c = model.c
    weights = {
        f"model.{name}": tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": pad,
        "eos_token_id": eos,
        "head_dim": c.head_dim,
        "hidden_act": "silu",
        "hidden_size": c.hidden,
        "initializer_range": 0.02,
        "intermediate_size": c.ffn,
        "max_position_embeddings": c.context,
        "max_window_layers": c.layers,
        "model_type": "qwen3",
        "num_attention_heads": c.heads,
        "num_hidden_layers": c.layers,
        "num_key_value_heads": c.kv_heads,
        "rms_norm_eps": c.eps,
        "rope_scaling": None,
        "rope_theta": c.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": c.vocab,
    }
    generation = {
        "bos_token_id": pad,
        "do_sample": False,
        "eos_token_id": [eos, pad],
        "pad_token_id": pad,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
