"""One sequence of tokens in llama.cpp's KV cache, and the hidden states after the final norm.

    read   cuts the sequence back to the prefix it shares with the new one, computes the rest, and
           returns the states of the tokens asked for

Tokens whose state is not needed are computed in passes as large as the settings allow; the others
in passes of at most OUTPUTS, because llama.cpp ends the process at one output more than it was told
of. A pass ends at the final norm: a callback of the scheduler skips the product with the vocabulary
matrix, a quarter of the work of a short pass (the callback costs 1 ms a pass). Flash attention is
off, since it more than doubles the time of short passes in a long context
(benchmarks/results/stream.md).

This module knows nothing of text and of heads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import SessionError
from edgeguard.session.library import lib, stops_after
from edgeguard.session.passes import new_context, run_pass
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag

OUTPUTS = 32
"""The most states of one pass."""
_N_BATCH = 128
"""The most tokens of one pass: without flash attention its scores take 4 bytes for each of them,
each head and each token before, 67 MB at 8,192 with the 0.6B model."""
_SMALLEST = 512
_NORM = (b"result_norm", b"result_embd_pooled")
"""The final norm in llama.cpp's graph; where embeddings are asked for it may be renamed."""


class HiddenStates:
    """See States; ``size`` limits the sequence, in tokens."""

    def __init__(self, model: Any, *, size: int, settings: Settings, flag: StopFlag) -> None:
        self._model = model
        self._size = size
        self._settings = settings
        self._flag = flag
        self._hidden = int(lib.llama_model_n_embd(model))
        self._context: Any = None
        self._ends = stops_after(_NORM)
        # None: unknown after a computation that broke off; the cache is then cleared before use.
        self._held: list[int] | None = []
        self.computed = 0
        """Tokens that were computed so far."""

    def read(self, tokens: Sequence[int], first: int) -> NDArray[np.float32]:
        """Hold exactly these tokens, and return the states from ``first`` on; see States."""
        wanted = list(tokens)
        if not 0 <= first <= len(wanted) or not wanted:
            raise SessionError(f"{first} is no place in {len(wanted)} tokens")
        if len(wanted) > self._size:
            raise SessionError(f"{len(wanted)} tokens do not fit the context of {self._size}")
        self._fit(len(wanted))
        kept = min(self._shared(wanted), first)
        self._keep(kept)
        states = [np.empty((0, self._hidden), np.float32)]
        for start, end, outputs in _passes(kept, first, len(wanted), self._n_batch):
            found = self._compute(wanted[start:end], outputs)
            if outputs:
                states.append(found)
        return np.concatenate(states)

    def use(self, settings: Settings) -> None:
        """Compute with other settings from now on; everything computed so far is dropped."""
        self.free()
        self._settings = settings

    def free(self) -> None:
        """Free the memory; the context is made again when it is needed."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self._held = []

    @property
    def n_ctx(self) -> int:
        """The capacity of the cache in tokens; 0 before the first use."""
        return int(lib.llama_n_ctx(self._context)) if self._context is not None else 0

    @property
    def _n_batch(self) -> int:
        return min(self._settings.n_batch, _N_BATCH)

    def _shared(self, tokens: list[int]) -> int:
        pairs = zip(self._held or [], tokens)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def _keep(self, number: int) -> None:
        held, self._held = self._held, None
        memory = lib.llama_get_memory(self._context)
        if held is None or not number:
            lib.llama_memory_clear(memory, held is None)
        elif number < len(held) and not lib.llama_memory_seq_rm(memory, 0, number, -1):
            raise SessionError("llama.cpp cannot go back in its context; check again")
        self._held = (held or [])[:number]

    def _compute(self, tokens: list[int], outputs: bool) -> NDArray[np.float32]:
        """Compute one pass over the next tokens; returns the states of all, or of none."""
        # if anything goes wrong, the content of the cache is unknown
        held, self._held = self._held, None
        assert held is not None
        count = len(tokens)
        ids = (lib.llama_token * count)(*tokens)  # the native batch only points to this array
        wanted = (ctypes.c_int8 * count)(*([int(outputs)] * count))
        batch = lib.llama_batch_get_one(ids, count)
        batch.logits = wanted
        # With embeddings on, every token of a pass is an output, whatever the batch says.
        lib.llama_set_embeddings(self._context, outputs)
        run_pass(self._context, batch, self._flag)
        states = self._states(count) if outputs else np.empty((0, self._hidden), np.float32)
        self.computed += count
        self._held = held + tokens
        return states

    def _states(self, count: int) -> NDArray[np.float32]:
        pointer = lib.llama_get_embeddings(self._context)
        if not pointer:
            raise SessionError("llama.cpp gave no hidden states")
        states: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (count, self._hidden)).copy()
        return states

    def _fit(self, tokens: int) -> None:
        """Make sure that the context can hold so many tokens: it doubles, and never shrinks."""
        if self.n_ctx >= tokens:
            return
        wanted = _SMALLEST
        while wanted < tokens:
            wanted *= 2
        self._move(max(tokens, min(wanted, self._size)))

    def _move(self, n_ctx: int) -> None:
        """Continue with a context of another size that holds the same tokens."""
        held = self._held or []
        size = lib.llama_state_seq_get_size(self._context, 0) if held else 0
        state = (ctypes.c_uint8 * size)()
        if held:
            lib.llama_state_seq_get_data(self._context, state, size, 0)
        self.free()
        self._context = self._new(n_ctx)
        if held and lib.llama_state_seq_set_data(self._context, state, size, 0) == size:
            self._held = held

    def _new(self, n_ctx: int) -> Any:
        return new_context(
            self._model,
            n_ctx,
            replace(self._settings, n_batch=self._n_batch, flash_attention=False),
            self._flag,
            f"for a context of {n_ctx} tokens",
            outputs=OUTPUTS,
            states=True,
            ends=self._ends,
        )


def _passes(kept: int, first: int, end: int, n_batch: int) -> list[tuple[int, int, bool]]:
    """Where each pass begins and ends, and whether its states are needed."""
    without = [(at, min(at + n_batch, first), False) for at in range(kept, first, n_batch)]
    step = min(OUTPUTS, n_batch)
    return without + [(at, min(at + step, end), True) for at in range(first, end, step)]
