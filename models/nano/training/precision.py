"""The number format that training computes in: bfloat16 where torch has kernels for it.

It has none for processors without AVX-512: there it emulates bfloat16, which took forty times as
long as float32.
"""

from __future__ import annotations

import torch

HAS_KERNELS: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
PASSES = torch.bfloat16 if HAS_KERNELS else torch.float32


def passes() -> torch.autocast:
    """The context that forward passes over float32 weights run in."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=HAS_KERNELS)
