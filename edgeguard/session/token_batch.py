"""Tokens of several sequences for one pass, in the arrays that llama.cpp reads.

``llama_batch_init`` would allocate a list of sequences for each token; here, all lists are parts of
one array. This module computes nothing.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.session.library import lib


class TokenBatch:
    """Tokens of several sequences for one pass, in the arrays that llama.cpp reads."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self._tokens = np.zeros(size, np.int32)
        self._places = np.zeros(size, np.int32)
        self._numbers = np.ones(size, np.int32)  # each token belongs to one sequence
        self._sequences = np.zeros(size, np.int32)
        self._outputs = np.zeros(size, np.int8)
        # llama.cpp wants a pointer to each token's list of sequences.
        first, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._lists = np.arange(first, first + size * step, step, dtype=np.uintp)

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether the pass is full."""
        return self._count == len(self._tokens)

    def add(self, token: int, place: int, sequence: int, output: bool) -> None:
        """Add a token at a position of a sequence; with ``output``, its logits are computed."""
        at, self._count = self._count, self._count + 1
        self._tokens[at], self._places[at] = token, place
        self._sequences[at], self._outputs[at] = sequence, output

    def clear(self) -> None:
        """Empty it for another pass."""
        self._count = 0

    def native(self) -> Any:
        """The argument for llama_decode; it points into this object."""
        return lib.llama_batch(
            n_tokens=self._count,
            token=_pointer(self._tokens, lib.llama_token),
            embd=None,
            pos=_pointer(self._places, lib.llama_pos),
            n_seq_id=_pointer(self._numbers, ctypes.c_int32),
            seq_id=_pointer(self._lists, ctypes.POINTER(lib.llama_seq_id)),
            logits=_pointer(self._outputs, ctypes.c_int8),
        )


def _pointer(array: NDArray[Any], of: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(of))
