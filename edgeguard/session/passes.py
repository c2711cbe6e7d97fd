"""A context of llama.cpp made, and passes run in it: what every kind of KV cache here does alike.

    new_context   memory asked for first, threads and batches as set, a flag that stops it
    run_pass      one pass; CancelledError where the flag ended it, SessionError where llama.cpp did
    logits_at     the logits of one output of the last pass

This module does not know what a context holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import CancelledError, SessionError
from edgeguard.session.library import last_error, lib
from edgeguard.session.memory import SPARE, check_room, not_enough
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag, asks_for_stop

_STOPPED = 2
"""What llama_decode returns when the abort callback has said so."""

_asks_for_stop = asks_for_stop(lib.ggml_abort_callback)


def new_context(
    model: Any,
    n_ctx: int,
    settings: Settings,
    flag: StopFlag,
    purpose: str,
    *,
    outputs: int,
    sequences: int = 1,
    states: bool = False,
    ends: Any = None,
) -> Any:
    """A context of so many tokens, shared by so many sequences; ``purpose`` names it in errors.

    ``outputs``: the most of one pass; one more would end the process, and unless told llama.cpp
    reserves logits for every token of a batch. ``states``: it gives hidden states, without pooling
    unless a header asks for it, which is refused. ``ends``: see stops_after. Raises SessionError.
    """
    params = lib.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = min(settings.n_batch, n_ctx)
    params.n_seq_max = sequences
    params.kv_unified = sequences > 1
    params.n_outputs_max = outputs
    params.n_threads = params.n_threads_batch = settings.threads
    params.embeddings = states
    params.flash_attn_type = int(settings.flash_attention)  # LLAMA_FLASH_ATTN_TYPE_ENABLED is 1
    params.no_perf = True
    params.abort_callback = _asks_for_stop
    params.abort_callback_data = flag.address
    if ends is not None:
        params.cb_eval = ends
    check_room(n_ctx * _token_bytes(model) + SPARE, purpose)
    context = lib.llama_init_from_model(model, params)
    if not context:
        raise not_enough(f"{purpose} ({last_error()})")
    return context


def run_pass(context: Any, batch: Any, flag: StopFlag) -> None:
    """One pass of llama.cpp over a batch. Raises CancelledError, SessionError."""
    if flag.is_set:  # between two passes
        raise CancelledError("the computation was stopped")
    code = lib.llama_decode(context, batch)
    if code == _STOPPED and flag.is_set:
        raise CancelledError("the computation was stopped")
    if code != 0:
        raise SessionError(f"llama.cpp could not compute ({code}): {last_error()}")


def logits_at(context: Any, place: int, n_vocab: int) -> NDArray[np.float32]:
    """The logits of the output at a place of the last pass's batch; -1 is its last."""
    pointer = lib.llama_get_logits_ith(context, place)
    if not pointer:
        raise SessionError("llama.cpp gave no logits")
    logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (n_vocab,)).copy()
    return logits


def _token_bytes(model: Any) -> int:
    """What the KV cache takes for one token: 16-bit keys and values of every layer."""
    layers = int(lib.llama_model_n_layer(model))
    heads = max(1, int(lib.llama_model_n_head(model)))
    width = max(128, int(lib.llama_model_n_embd(model)) // heads)
    return 4 * layers * int(lib.llama_model_n_head_kv(model)) * width
