"""How llama.cpp computes: threads, batch size, flash attention, texts that share a pass.

The defaults are what benchmarks/settings.py measured; `edgeguard tune` finds better ones for a
machine. This module measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

N_BATCH = 512
SEQUENCES = 8
MAX_SEQUENCES = 64
MAX_THREADS = 512
"""ggml's own bound (GGML_MAX_N_THREADS); far beyond it, making the threads ends the process."""

BACKGROUND: Literal["background"] = "background"
"""One thread less than there are cores, so that an interface beside it has one for itself."""
Threads: TypeAlias = int | Literal["background"] | None
"""As asked for; None takes what was tuned, else the cores."""


@dataclass(frozen=True)
class Settings:
    """What a context is made with.

    ``threads``: CPU threads. ``n_batch``: the most tokens of one pass. ``flash_attention``: fused
    attention, which spares memory and, from some hundred tokens on, time. ``sequences``: the most
    texts that share a pass, where texts may; with 1, each is judged alone.
    """

    threads: int
    n_batch: int = N_BATCH
    flash_attention: bool = True
    sequences: int = SEQUENCES


def most_in_a_pass(settings: Settings | None) -> int:
    """How many texts may share a pass; what has no settings, as a server, takes the default."""
    return SEQUENCES if settings is None else settings.sequences
