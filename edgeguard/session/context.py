"""One sequence of tokens in llama.cpp's KV cache, and the logits after it.

    hold    rewinds the cache to what a question shares with the one held, and computes the rest
    extend  computes tokens after those held, unless hold has done so ahead

Shared is the fixed start of the questions of a mode. It is always computed in a batch of its own,
or read from disk where an earlier process computed it so: a question gives the same bits whether
it is the first of a process or the thousandth. A conversation that goes on from the one held
shares all of that one, and pays for what is new; its numbers then differ from a fresh computation
as far as another split into batches makes them differ.

The context grows to what a question needs, and shrinks again. This module knows nothing of text.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import CancelledError, SessionError
from edgeguard.session.library import last_error, lib
from edgeguard.session.memory import SPARE, check_room, not_enough
from edgeguard.session.prefix_files import PrefixFiles
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag, asks_for_stop

_STOPPED = 2
"""What llama_decode returns when the abort callback has said so."""

_asks_for_stop = asks_for_stop(lib.ggml_abort_callback)

_STEP = 256
"""llama.cpp rounds the size of a context up to this. A token costs 112 KiB with the 0.6B model."""


class Context:
    """The KV cache of one model for one fixed start; ``size`` bounds it, in tokens."""

    def __init__(
        self,
        model: Any,
        *,
        n_vocab: int,
        size: int,
        settings: Settings,
        flag: StopFlag,
        starts: PrefixFiles | None = None,
    ) -> None:
        self._flag = flag
        self._model = model
        self._n_vocab = n_vocab
        self._size = size
        self._settings = settings
        self._starts = starts
        self._context: Any = None
        # None: unknown, because a computation broke off; the cache is then cleared before use.
        self._held: list[int] | None = []
        self._conversation = 0  # so many of the tokens held are start and conversation
        self._end = 0
        self._ahead: tuple[list[int], NDArray[np.float32]] | None = None
        self._doubted: list[int] | None = None  # a start from disk, nothing computed behind it yet

    def hold(
        self,
        tokens: list[int],
        *,
        fixed: int,
        conversation: int,
        grows: bool,
        room: int,
        ahead: list[int],
    ) -> NDArray[np.float32]:
        """Hold exactly these tokens; the logits after the last: float32, (n_vocab,)."""
        if not tokens or len(tokens) + room > self._size:
            raise SessionError(
                f"{len(tokens)} + {room} tokens do not fit the context of {self._size}"
            )
        fixed = min(fixed, len(tokens) - 1)
        kept = self._shared(tokens, fixed, grows)
        self._rewind(kept)
        self._fit(len(tokens) + room)
        if kept < fixed:
            self._begin(tokens[:fixed])
        self._conversation = min(conversation, len(tokens) - 1)
        self._end = len(tokens) + room
        new = tokens[max(kept, fixed) :]
        ahead = ahead if len(ahead) <= room else []
        try:
            return self._compute_behind(new, ahead)
        except SessionError:
            if not self._drop_start():
                raise
            self._rewind(0)
            self._compute(tokens[:fixed])
            return self._compute_behind(new, ahead)

    def extend(self, tokens: list[int], back: int = 0) -> NDArray[np.float32]:
        """Add tokens to those held without the last ``back``; the logits after: (n_vocab,)."""
        computed, self._ahead = self._ahead, None
        if computed is not None and self._held is not None:
            ahead, logits = computed
            if tokens == ahead and not back:
                return logits
            self._rewind(len(self._held) - len(ahead))
        if back and self._held is not None:
            self._rewind(len(self._held) - back)
        if not self._held or len(self._held) + len(tokens) > self._end:
            raise SessionError("there is no room in the context for more of the answer")
        return self._compute(tokens)

    def free(self) -> None:
        """Give the memory back; the context is made anew when it is needed."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self._held = []

    @property
    def n_ctx(self) -> int:
        """The tokens that the cache has room for now; 0 before the first use."""
        return int(lib.llama_n_ctx(self._context)) if self._context is not None else 0

    @property
    def handle(self) -> Any:
        """llama.cpp's own context, for tests that run its samplers on it."""
        return self._context

    # What a question shares with the one held

    def _shared(self, tokens: list[int], fixed: int, grows: bool) -> int:
        """How many of the tokens held are of use: the conversation, the fixed start, or none."""
        held, conversation = self._held or [], self._conversation
        goes_on = grows and fixed < conversation < len(tokens)
        if goes_on and held[:conversation] == tokens[:conversation]:
            return conversation
        return fixed if held[:fixed] == tokens[:fixed] else 0

    def _rewind(self, kept: int) -> None:
        held, self._held, self._ahead = self._held, None, None
        if self._context is not None:
            memory = lib.llama_get_memory(self._context)
            if not kept:
                # After a computation that broke off, what lies in the cells is not to be trusted.
                lib.llama_memory_clear(memory, held is None)
            elif not lib.llama_memory_seq_rm(memory, 0, kept, -1):
                raise SessionError("llama.cpp cannot go back in its context; check again")
        self._held = (held or [])[:kept]

    def _begin(self, start: list[int]) -> None:
        """Put the fixed start into the empty cache."""
        if self._starts is None:
            self._compute(start)
        elif not self._load(self._starts, start):
            self._compute(start)
            self._save(self._starts, start)

    def _load(self, starts: PrefixFiles, start: list[int]) -> bool:
        """Take a start from disk; it is doubted until something was computed behind it."""
        state = starts.find(start)
        if state is None:
            return False
        source = (ctypes.c_uint8 * len(state)).from_buffer(state)
        taken = lib.llama_state_seq_set_data(self._context, source, len(state), 0)
        if taken == len(state) and self._positions() == (0, len(start) - 1):
            self._held, self._doubted = list(start), list(start)
            return True
        starts.drop(start)
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        return False

    def _save(self, starts: PrefixFiles, start: list[int]) -> None:
        """Keep the start as it is in memory: what llama.cpp writes itself it does not check."""
        size = lib.llama_state_seq_get_size(self._context, 0)
        state = (ctypes.c_uint8 * size)()
        if lib.llama_state_seq_get_data(self._context, state, size, 0) == size:
            starts.add(start, memoryview(state).cast("B"))

    def _positions(self) -> tuple[int, int]:
        """The first and the last position held; -1 where nothing is."""
        memory = lib.llama_get_memory(self._context)
        first, last = (
            lib.llama_memory_seq_pos_min(memory, 0),
            lib.llama_memory_seq_pos_max(memory, 0),
        )
        return int(first), int(last)

    def _drop_start(self) -> bool:
        """Remove a start from disk that nothing could be computed behind; False: there is none."""
        start, self._doubted = self._doubted, None
        if start is None or self._starts is None:
            return False
        self._starts.drop(start)
        self._held = None
        return True

    def _compute(self, tokens: list[int]) -> NDArray[np.float32]:
        """Run tokens through the model behind those held."""
        held, self._held = self._held, None  # whatever goes wrong, the state is then unknown
        assert held is not None
        for first in range(0, len(tokens), self._settings.n_batch):
            self._decode(tokens[first : first + self._settings.n_batch])
        self._held = held + tokens
        return self._logits(-1)

    def _compute_behind(self, tokens: list[int], ahead: list[int]) -> NDArray[np.float32]:
        """The logits after the tokens of a question; those after ``ahead`` are put by."""
        if ahead:
            logits, later = self._compute_both(tokens, ahead)
            self._ahead = (ahead, later)
        else:
            logits = self._compute(tokens)
        if self._doubted is not None and np.isnan(logits).any():
            raise SessionError("llama.cpp computed no numbers")
        self._doubted = None
        return logits

    def _compute_both(
        self, tokens: list[int], ahead: list[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The logits after some tokens, and after more of them, out of one last pass."""
        size = self._settings.n_batch
        before = max(0, len(tokens) + len(ahead) - size)
        before = -(-before // size) * size  # whole batches go first, as without more tokens
        if before >= len(tokens):
            logits = self._compute(tokens)
            return logits, self._compute(ahead)
        if before:
            self._compute(tokens[:before])
        held, self._held = self._held, None
        assert held is not None
        last = tokens[before:]
        self._decode([*last, *ahead], outputs=(len(last) - 1, len(last) + len(ahead) - 1))
        self._held = [*held, *last, *ahead]
        return self._logits(len(last) - 1), self._logits(-1)

    def _decode(self, tokens: list[int], outputs: tuple[int, ...] = ()) -> None:
        """One pass of llama.cpp; without ``outputs``, logits are there for the last token."""
        ids = (lib.llama_token * len(tokens))(*tokens)  # the batch only points to it
        batch = lib.llama_batch_get_one(ids, len(tokens))
        if outputs:
            wanted = (ctypes.c_int8 * len(tokens))()
            for place in outputs:
                wanted[place] = 1
            batch.logits = wanted
        if self._flag.is_set:  # between two batches
            raise CancelledError("the computation was stopped")
        code = lib.llama_decode(self._context, batch)
        if code == _STOPPED and self._flag.is_set:
            raise CancelledError("the computation was stopped")
        if code != 0:
            raise SessionError(f"llama.cpp could not compute ({code}): {last_error()}")

    def _logits(self, place: int) -> NDArray[np.float32]:
        pointer = lib.llama_get_logits_ith(self._context, place)
        if not pointer:
            self._held = None
            raise SessionError("llama.cpp gave no logits")
        logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self._n_vocab,)).copy()
        return logits

    # Its size

    def _fit(self, tokens: int) -> None:
        """Have a context that holds so many tokens, and not many times more."""
        wanted = min(-(-tokens // _STEP) * _STEP, max(self._size, tokens))
        if self.n_ctx < tokens or self.n_ctx >= 4 * max(wanted, 2 * _STEP):
            self._move(wanted)

    def _move(self, n_ctx: int) -> None:
        """Go on with a context of another size, which holds the same tokens."""
        held = list(self._held or [])
        size = lib.llama_state_seq_get_size(self._context, 0) if held else 0
        state = (ctypes.c_uint8 * size)()
        if held:
            lib.llama_state_seq_get_data(self._context, state, size, 0)
        self.free()
        self._context = self._new(n_ctx)
        if held and not lib.llama_state_seq_set_data(self._context, state, size, 0):
            self._held = None
            raise SessionError("llama.cpp does not take back the state it gave; check again")
        self._held = held

    def _new(self, n_ctx: int) -> Any:
        settings = self._settings
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = min(settings.n_batch, n_ctx)
        params.n_seq_max = 1
        params.n_outputs_max = 2  # else llama.cpp reserves logits for every token of a batch
        params.n_threads = params.n_threads_batch = settings.threads
        params.flash_attn_type = int(settings.flash_attention)  # LLAMA_FLASH_ATTN_TYPE_ENABLED is 1
        params.no_perf = True
        params.abort_callback = _asks_for_stop
        params.abort_callback_data = self._flag.address
        purpose = f"for a context of {n_ctx} tokens"
        check_room(n_ctx * self._token_bytes() + SPARE, purpose)
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise not_enough(f"{purpose} ({last_error()})")
        return context

    def _token_bytes(self) -> int:
        """What the KV cache takes for one token: 16-bit keys and values of every layer."""
        layers = int(lib.llama_model_n_layer(self._model))
        heads = max(1, int(lib.llama_model_n_head(self._model)))
        width = max(128, int(lib.llama_model_n_embd(self._model)) // heads)
        return 4 * layers * int(lib.llama_model_n_head_kv(self._model)) * width
