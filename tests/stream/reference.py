"""The official forward of Qwen3Guard-Stream in torch, written from its description.

Nothing of the project is used: the checkpoint is read by the safetensors library, and the model is
Qwen3 as transformers has it (RMSNorm, rotary halves, grouped keys, SwiGLU), with the two heads of
Qwen3ForGuardModel behind the final norm. Slow and plain.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F


class Reference:
    """A checkpoint that was loaded; computes in float32 or bfloat16."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        weights: dict[str, Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            weights |= load_file(file)
        self.weights = {name: weight.to(dtype) for name, weight in weights.items()}
        self.dtype = dtype

    def hidden(self, ids: list[int]) -> Tensor:
        """The states after the final norm: (tokens, hidden)."""
        x = self.weights["model.embed_tokens.weight"][ids]
        cos, sin = self._rotary(len(ids))
        for layer in range(self.config["num_hidden_layers"]):
            x = x + self._attention(f"model.layers.{layer}", x, cos, sin)
            x = x + self._mlp(f"model.layers.{layer}", x)
        return self._norm("model.norm", x)

    def labels(self, ids: list[int], side: str = "") -> tuple[Tensor, Tensor]:
        """Logits of risk (tokens, 3) and of category (tokens, 8 or 9); side: "" or "query_"."""
        x = F.linear(self.hidden(ids), self.weights[f"{side}risk_level_category_pre.weight"])
        x = self._norm(f"{side}risk_level_category_layernorm", x)
        return (
            F.linear(x, self.weights[f"{side}risk_level_head.weight"]),
            F.linear(x, self.weights[f"{side}category_head.weight"]),
        )

    def _norm(self, name: str, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return self.weights[f"{name}.weight"] * wide.to(self.dtype)

    def _rotary(self, count: int) -> tuple[Tensor, Tensor]:
        size = self.config["head_dim"]
        rates = self.config["rope_theta"] ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
        angles = torch.outer(torch.arange(count, dtype=torch.float32), rates)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(self.dtype), angles.sin().to(self.dtype)

    def _attention(self, layer: str, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = self._norm(f"{layer}.input_layernorm", x)
        heads, groups = self.config["num_attention_heads"], self.config["num_key_value_heads"]

        def split(name: str, count: int) -> Tensor:
            weight = self.weights[f"{layer}.self_attn.{name}_proj.weight"]
            return F.linear(x, weight).view(len(x), count, -1)

        query = self._norm(f"{layer}.self_attn.q_norm", split("q", heads)).transpose(0, 1)
        key = self._norm(f"{layer}.self_attn.k_norm", split("k", groups)).transpose(0, 1)
        value = split("v", groups).transpose(0, 1)
        query, key = (one * cos + _turned(one) * sin for one in (query, key))
        key, value = (one.repeat_interleave(heads // groups, dim=0) for one in (key, value))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined = mixed.transpose(0, 1).reshape(len(x), -1)
        return F.linear(joined, self.weights[f"{layer}.self_attn.o_proj.weight"])

    def _mlp(self, layer: str, x: Tensor) -> Tensor:
        x = self._norm(f"{layer}.post_attention_layernorm", x)
        gate = F.linear(x, self.weights[f"{layer}.mlp.gate_proj.weight"])
        up = F.linear(x, self.weights[f"{layer}.mlp.up_proj.weight"])
        return F.linear(F.silu(gate) * up, self.weights[f"{layer}.mlp.down_proj.weight"])


def _turned(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)
