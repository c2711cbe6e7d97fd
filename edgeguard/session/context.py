"""One sequence of tokens in llama.cpp's KV cache, and the logits after it.

    hold    rewinds the cache to the fixed start of a question, or puts a kept copy of that start
            back, and computes the rest
    extend  computes tokens after those held

The fixed start is always computed in batches of its own, so a question gives the same bits whether
it is the first of a process or the thousandth. The context grows to what a question needs, and
shrinks again. This module knows nothing of text.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import SessionError
from edgeguard.session.library import last_error, lib

N_BATCH = 512
"""Tokens computed in one pass of llama.cpp."""

_SMALLEST = 512
_KEPT_STARTS = 2  # one for prompts, one for responses
_FLASH_ATTENTION = 1  # LLAMA_FLASH_ATTN_TYPE_ENABLED


class Context:
    """The KV cache of one model; ``size`` bounds it, in tokens."""

    def __init__(self, model: Any, *, n_vocab: int, size: int, threads: int) -> None:
        self._model = model
        self._n_vocab = n_vocab
        self._size = size
        self._threads = threads
        self._context: Any = None
        # None: unknown, because a computation broke off; the cache is then cleared before use.
        self._held: list[int] | None = None
        self._end = 0
        self._starts: OrderedDict[tuple[int, ...], bytes] = OrderedDict()

    def hold(self, tokens: list[int], fixed: int, room: int) -> NDArray[np.float32]:
        """Hold exactly these tokens; the logits after the last: float32, (n_vocab,)."""
        if not tokens or len(tokens) + room > self._size:
            raise SessionError(
                f"{len(tokens)} + {room} tokens do not fit the context of {self._size}"
            )
        fixed = min(fixed, len(tokens) - 1)
        self._fit(len(tokens) + room)
        self._restore(tuple(tokens[:fixed]))
        self._end = len(tokens) + room
        return self._compute(tokens[fixed:])

    def extend(self, tokens: list[int]) -> NDArray[np.float32]:
        """Add tokens to those held; the logits after the last: float32, (n_vocab,)."""
        if self._held is None or len(self._held) + len(tokens) > self._end:
            raise SessionError("there is no room in the context for more of the answer")
        return self._compute(tokens)

    def free(self) -> None:
        """Give the memory back; the context is made anew when it is needed."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self._held = None

    @property
    def n_ctx(self) -> int:
        """The tokens that the cache has room for now; 0 before the first use."""
        return int(lib.llama_n_ctx(self._context)) if self._context is not None else 0

    @property
    def handle(self) -> Any:
        """llama.cpp's own context, for tests that run its samplers on it."""
        return self._context

    # The fixed start of a question

    def _restore(self, start: tuple[int, ...]) -> None:
        """Make the cache hold the fixed start, and nothing else."""
        memory = lib.llama_get_memory(self._context)
        held, self._held = self._held, None
        if start and held is not None and tuple(held[: len(start)]) == start:
            lib.llama_memory_seq_rm(memory, 0, len(start), -1)
            self._held = list(start)
            return
        lib.llama_memory_clear(memory, True)
        self._held = []
        if start in self._starts:
            self._put_back(start)
        elif start:
            self._compute(list(start))
            self._keep(start)

    def _keep(self, start: tuple[int, ...]) -> None:
        size = lib.llama_state_seq_get_size(self._context, 0)
        buffer = (ctypes.c_uint8 * size)()
        written = lib.llama_state_seq_get_data(self._context, buffer, size, 0)
        self._starts[start] = bytes(memoryview(buffer)[:written])
        while len(self._starts) > _KEPT_STARTS:
            self._starts.popitem(last=False)

    def _put_back(self, start: tuple[int, ...]) -> None:
        state = self._starts[start]
        self._starts.move_to_end(start)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if lib.llama_state_seq_set_data(self._context, buffer, len(state), 0) == 0:
            self._held = None
            del self._starts[start]
            raise SessionError("llama.cpp does not take back the state it gave; check again")
        self._held = list(start)

    def _compute(self, tokens: list[int]) -> NDArray[np.float32]:
        """Run tokens through the model behind those held."""
        held, self._held = self._held, None  # whatever goes wrong, the state is then unknown
        assert held is not None
        for first in range(0, len(tokens), N_BATCH):
            part = tokens[first : first + N_BATCH]
            ids = (lib.llama_token * len(part))(*part)  # the batch only points to it
            code = lib.llama_decode(self._context, lib.llama_batch_get_one(ids, len(part)))
            if code != 0:
                raise SessionError(f"llama.cpp could not compute ({code}): {last_error()}")
        self._held = held + tokens
        pointer = lib.llama_get_logits_ith(self._context, -1)
        if not pointer:
            raise SessionError("llama.cpp gave no logits")
        logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self._n_vocab,)).copy()
        return logits

    # Its size

    def _fit(self, tokens: int) -> None:
        """Have a power of two that holds so many tokens, and not many times more."""
        wanted = _SMALLEST
        while wanted < tokens:
            wanted *= 2
        wanted = min(wanted, max(self._size, tokens))
        if self.n_ctx < tokens or self.n_ctx >= 8 * wanted:
            self.free()
            self._context = self._new(wanted)

    def _new(self, n_ctx: int) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = min(N_BATCH, n_ctx)
        params.n_seq_max = 1
        params.n_outputs_max = 1  # else llama.cpp reserves logits for every token of a batch
        params.n_threads = params.n_threads_batch = self._threads
        params.flash_attn_type = _FLASH_ATTENTION
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise SessionError(
                f"llama.cpp cannot allocate a context of {n_ctx} tokens: {last_error()}; "
                "free some memory, or choose a smaller n_ctx"
            )
        return context
