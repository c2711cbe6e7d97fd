"""The number format that training computes in: bfloat16 where the processor has it, else float32.

Without AVX-512 BF16 or AMX torch emulates bfloat16, forty times slower than float32.
"""

from __future__ import annotations

import torch

IN_HARDWARE: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
PASSES = torch.bfloat16 if IN_HARDWARE else torch.float32


def passes() -> torch.autocast:
    """The context that forward passes over float32 weights run in."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=IN_HARDWARE)
