"""One sequence of tokens in llama.cpp's KV cache: computed, cut back, saved, and grown in size.

    keep      cuts the sequence back to its first tokens
    compute   adds tokens, and gives the logits after the last
    state     the cells as bytes, for another context or another process; restore takes them

The context grows to what is needed, and shrinks again. Which tokens are worth keeping is decided in
edgeguard.session.prefix_cache. This module knows nothing of text.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import SessionError
from edgeguard.session.library import lib
from edgeguard.session.passes import logits_at, new_context, run_pass
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.versions import has_cells

_STEP = 256
"""llama.cpp rounds the size of a context up to this. A token costs 112 KiB with the 0.6B model."""


class Context:
    """The KV cache of one model; ``size`` bounds it, in tokens."""

    def __init__(
        self, model: Any, *, n_vocab: int, size: int, settings: Settings, flag: StopFlag
    ) -> None:
        self._flag = flag
        self._model = model
        self._n_vocab = n_vocab
        self._settings = settings
        self._context: Any = None
        self.size = size
        # None: unknown, because a computation broke off; the cache is then cleared before use.
        self.tokens: list[int] | None = []

    @property
    def n_ctx(self) -> int:
        """The tokens that the cache has room for now; 0 before the first use."""
        return int(lib.llama_n_ctx(self._context)) if self._context is not None else 0

    @property
    def n_batch(self) -> int:
        """The most tokens of one pass."""
        return self._settings.n_batch

    @property
    def handle(self) -> Any:
        """llama.cpp's own context, for tests that run its samplers on it."""
        return self._context

    def keep(self, number: int) -> None:
        """Cut back to the first tokens; to none where it is unknown what is held."""
        held, self.tokens = self.tokens, None
        if self._context is not None:
            memory = lib.llama_get_memory(self._context)
            if not number:
                # After a computation that broke off, what lies in the cells is not to be trusted.
                lib.llama_memory_clear(memory, held is None)
            elif not lib.llama_memory_seq_rm(memory, 0, number, -1):
                raise SessionError("llama.cpp cannot go back in its context; check again")
        self.tokens = (held or [])[:number]

    def compute(self, tokens: list[int]) -> NDArray[np.float32]:
        """Run tokens through the model behind those held; the logits after the last."""
        held, self.tokens = self._known(), None  # whatever goes wrong, the state is then unknown
        for first in range(0, len(tokens), self.n_batch):
            self._decode(tokens[first : first + self.n_batch])
        logits = self._logits(-1)
        self.tokens = held + tokens
        return logits

    def compute_both(
        self, tokens: list[int], ahead: list[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The logits after some tokens, and after more of them, out of one last pass."""
        size = self.n_batch
        before = max(0, len(tokens) + len(ahead) - size)
        before = -(-before // size) * size  # whole batches go first, as without more tokens
        if before >= len(tokens):
            logits = self.compute(tokens)
            return logits, self.compute(ahead)
        if before:
            self.compute(tokens[:before])
        held, self.tokens = self._known(), None
        last = tokens[before:]
        self._decode([*last, *ahead], outputs=(len(last) - 1, len(last) + len(ahead) - 1))
        both = self._logits(len(last) - 1), self._logits(-1)
        self.tokens = [*held, *last, *ahead]
        return both

    def state(self) -> memoryview | None:
        """The cells of what is held, as bytes; None if llama.cpp does not give them."""
        size = lib.llama_state_seq_get_size(self._context, 0)
        state = (ctypes.c_uint8 * size)()
        if lib.llama_state_seq_get_data(self._context, state, size, 0) != size:
            return None
        return memoryview(state).cast("B")

    def restore(self, state: bytearray | memoryview, tokens: list[int]) -> bool:
        """Hold tokens by their cells, in an empty cache; False, and still empty, if that fails."""
        if not has_cells(state, len(tokens)):
            return False
        source = (ctypes.c_uint8 * len(state)).from_buffer(state)
        taken = lib.llama_state_seq_set_data(self._context, source, len(state), 0)
        if taken == len(state) and self._positions() == (0, len(tokens) - 1):
            self.tokens = list(tokens)
            return True
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        return False

    def free(self) -> None:
        """Give the memory back; the context is made anew when it is needed."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self.tokens = []

    def _known(self) -> list[int]:
        if self.tokens is None:
            raise SessionError("a computation broke off before this one; check again")
        return self.tokens

    def _positions(self) -> tuple[int, int]:
        """The first and the last position held; -1 where nothing is."""
        memory = lib.llama_get_memory(self._context)
        first, last = (
            lib.llama_memory_seq_pos_min(memory, 0),
            lib.llama_memory_seq_pos_max(memory, 0),
        )
        return int(first), int(last)

    def _decode(self, tokens: list[int], outputs: tuple[int, ...] = ()) -> None:
        """One pass of llama.cpp; without ``outputs``, logits are there for the last token."""
        ids = (lib.llama_token * len(tokens))(*tokens)  # the batch only points to it
        batch = lib.llama_batch_get_one(ids, len(tokens))
        if outputs:
            wanted = (ctypes.c_int8 * len(tokens))()
            for place in outputs:
                wanted[place] = 1
            batch.logits = wanted
        run_pass(self._context, batch, self._flag)

    def _logits(self, place: int) -> NDArray[np.float32]:
        return logits_at(self._context, place, self._n_vocab)

    def fit(self, tokens: int) -> None:
        """Have a context that holds so many tokens, and not many times more."""
        wanted = min(-(-tokens // _STEP) * _STEP, max(self.size, tokens))
        if self.n_ctx < tokens or self.n_ctx >= 4 * max(wanted, 2 * _STEP):
            self._move(wanted)

    def _move(self, n_ctx: int) -> None:
        """Go on with a context of another size, which holds the same tokens."""
        held = list(self.tokens or [])
        state = self.state() if held else None
        self.free()
        self._context = self._new(n_ctx)
        if held and (state is None or not self.restore(state, held)):
            self.tokens = None
            raise SessionError("llama.cpp does not take back the state it gave; check again")

    def _new(self, n_ctx: int) -> Any:
        purpose = f"for a context of {n_ctx} tokens"
        return new_context(self._model, n_ctx, self._settings, self._flag, purpose, outputs=2)
