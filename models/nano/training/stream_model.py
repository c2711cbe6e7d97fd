"""nano-stream in torch: nano's backbone with the two pairs of heads of Qwen3ForGuardModel.

It neither trains nor reads rows; `save` writes the checkpoint that `edgeguard convert` reads.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from model import Config, Qwen3, RMSNorm, save_checkpoint
from torch import Tensor, nn

from edgeguard.protocol.stream import MAPS, QUERY_CATEGORIES, RESPONSE_CATEGORIES, RISKS

INNER = 128


class Side(nn.Module):
    """One side's heads: states to the logits of risks and of categories."""

    def __init__(self, c: Config, categories: int) -> None:
        super().__init__()
        self.pre = nn.Linear(c.hidden, INNER, bias=False)
        self.norm = RMSNorm(INNER, c.eps)
        self.risk = nn.Linear(INNER, len(RISKS), bias=False)
        self.category = nn.Linear(INNER, categories, bias=False)
        for layer, std in ((self.pre, 0.06), (self.risk, 0.02), (self.category, 0.02)):
            nn.init.normal_(layer.weight, std=std)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.norm(self.pre(states))
        return self.risk(inner), self.category(inner)


class Stream(nn.Module):
    """The backbone and both sides."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.backbone = Qwen3(c)
        self.response = Side(c, len(RESPONSE_CATEGORIES))
        self.query = Side(c, len(QUERY_CATEGORIES))

    def forward(self, ids: Tensor) -> Tensor:
        """The state of every token of `ids` (batch, n), right-padded."""
        positions = torch.arange(ids.shape[1])[None].expand(ids.shape[0], -1)
        hidden: Tensor = self.backbone(ids, positions)[0]
        return hidden


def save(model: Stream, folder: Path, eos: int, pad: int) -> None:
    """Write the checkpoint into `folder`, as Qwen3Guard-Stream's are."""
    from safetensors.torch import load_file, save_file

    save_checkpoint(model.backbone, folder, eos, pad)
    weights = load_file(folder / "model.safetensors")
    for prefix, side in (("", model.response), ("query_", model.query)):
        for name, weight in (
            ("risk_level_category_pre", side.pre.weight),
            ("risk_level_category_layernorm", side.norm.weight),
            ("risk_level_head", side.risk.weight),
            ("category_head", side.category.weight),
        ):
            weights[f"{prefix}{name}.weight"] = weight.detach().to(torch.bfloat16).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["architectures"] = ["Qwen3ForGuardModel"]
    config["guard_inner_size"] = INNER
    for name, labels in MAPS.items():
        config[name] = {str(number): label for number, label in enumerate(labels)}
    config |= {
        "num_risk_level": len(RISKS),
        "num_category": len(RESPONSE_CATEGORIES),
        "num_query_risk_level": len(RISKS),
        "num_query_category": len(QUERY_CATEGORIES),
    }
    path.write_text(json.dumps(config, indent=2) + "\n")
