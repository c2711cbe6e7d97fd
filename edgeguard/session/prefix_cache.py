"""What is computed once: the prefix cache of one context.

    the prefix of a mode   the text that every question of it begins with, computed in batches of
                           its own, or read from disk where an earlier process computed it so
    the common prefix      the longest run of ids that the tokens held and the new ones begin with

An exact read uses the common prefix only as far as a computation from nothing has the same batches:
a question then gives the same bits whether it is the first of a process or the thousandth. Any
other read uses all of it where it goes on from the question held, as a growing text does, or where
much is saved. Its numbers then differ from an exact one's as far as another split into batches
makes them differ, which is in late digits.

This module knows nothing of text, and calls nothing of llama.cpp.
"""

from __future__ import annotations

from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import SessionError
from edgeguard.session.context import Context
from edgeguard.session.prefix_files import PrefixFiles

_LITTLE = 16
"""Tokens that an inexact read must save where a text goes on; for fewer, nobody would want other
digits."""
_MUCH = 128
"""Those that it must save between any others: half a second with the 0.6B model on two cores."""
_JOINED = 8
"""The last tokens of a text may change when it goes on: the end of a word, and what the tokenizer
joined with the blank line after it."""


class PrefixCache:
    """Reads questions that begin alike into one context."""

    def __init__(self, context: Context, files: PrefixFiles | None = None) -> None:
        """``files`` keeps the prefix for other processes."""
        self.context = context
        self._files = files
        # So many of the tokens held were computed in the batches of a computation from nothing.
        self._exact = 0
        self._conversation = 0  # where that of the question held ends: behind it is the suffix
        self._end = 0
        self._ahead: tuple[list[int], NDArray[np.float32]] | None = None
        self._doubted: list[int] | None = None  # a prefix from disk, nothing computed behind it yet

    def read(
        self,
        tokens: list[int],
        *,
        prefix: int,
        suffix: int,
        exact: bool,
        room: int,
        ahead: list[int],
    ) -> NDArray[np.float32]:
        """Hold exactly these tokens; the logits after the last: float32, (n_vocab,)."""
        if not tokens or len(tokens) + room > self.context.size:
            raise SessionError(
                f"{len(tokens)} + {room} tokens do not fit the context of {self.context.size}"
            )
        prefix = min(prefix, len(tokens) - 1)
        kept = self._keep(tokens, prefix, exact)
        self.context.fit(len(tokens) + room)
        if kept < prefix:
            self._begin(tokens[:prefix])
        self._conversation = len(tokens) - suffix
        self._end = len(tokens) + room
        new = tokens[max(kept, prefix) :]
        ahead = ahead if len(ahead) <= room else []
        try:
            return self._compute(new, ahead)
        except SessionError:
            if not self._drop_prefix():
                raise
            self._cut_back(0)
            self.context.compute(tokens[:prefix])
            return self._compute(new, ahead)

    def extend(self, tokens: list[int], back: int = 0) -> NDArray[np.float32]:
        """Add tokens to those held without the last ``back``; the logits after: (n_vocab,)."""
        computed, self._ahead = self._ahead, None
        held = self.context.tokens
        if computed is not None and held is not None:
            ahead, logits = computed
            if tokens == ahead and not back:
                return logits
            self._cut_back(len(held) - len(ahead))
        if back and self.context.tokens is not None:
            self._cut_back(len(self.context.tokens) - back)
        held = self.context.tokens
        if not held or len(held) + len(tokens) > self._end:
            raise SessionError("there is no room in the context for more of the answer")
        return self.context.compute(tokens)

    def state_of(self, prefix: list[int]) -> memoryview | None:
        """The cells of a prefix, for another context; nothing else is held after it.

        None where llama.cpp does not give them. Raises SessionError.
        """
        kept = min(self._keep([*prefix, -1], len(prefix), exact=True), len(prefix))
        self.context.fit(len(prefix))
        if kept < len(prefix):
            self._begin(prefix)
        else:
            self._cut_back(len(prefix))
        self._exact = self._conversation = self._end = len(prefix)
        return self.context.state()

    def free(self) -> None:
        """Give the memory back; it is taken again when it is needed."""
        self.context.free()

    # What is used again

    def _keep(self, tokens: list[int], prefix: int, exact: bool) -> int:
        """Cut the context back to what is of use, and return how much that is."""
        common = _common(self.context.tokens or [], tokens[:-1])
        if common < prefix:
            kept = border = 0
        else:
            size = self.context.n_batch
            border = prefix + max(0, min(common, self._exact) - prefix) // size * size
            is_same = common == len(tokens) - 1
            kept = border if exact or is_same or common - border < self._least(common) else common
        if kept == border:  # what follows is computed in the batches of a computation from nothing
            self._exact = len(tokens)
        else:
            self._exact = min(self._exact, kept)
        self._cut_back(kept)
        return kept

    def _least(self, common: int) -> int:
        """How much an inexact read must save, where so many ids are common."""
        goes_on = common >= self._conversation - _JOINED
        return _LITTLE if goes_on else _MUCH

    def _cut_back(self, kept: int) -> None:
        self._ahead = None
        self.context.keep(kept)

    def _compute(self, tokens: list[int], ahead: list[int]) -> NDArray[np.float32]:
        """The logits after the tokens of a question; those after ``ahead`` are put by."""
        if ahead:
            logits, later = self.context.compute_both(tokens, ahead)
            self._ahead = (ahead, later)
        else:
            logits = self.context.compute(tokens)
        if self._doubted is not None and np.isnan(logits).any():
            raise SessionError("llama.cpp computed no numbers")
        self._doubted = None
        return logits

    # The prefix of a mode, on disk

    def _begin(self, prefix: list[int]) -> None:
        """Put the prefix into the empty context."""
        if self._files is None:
            self.context.compute(prefix)
        elif not self._load(self._files, prefix):
            self.context.compute(prefix)
            state = self.context.state()
            if state is not None:
                self._files.add(prefix, state)

    def _load(self, files: PrefixFiles, prefix: list[int]) -> bool:
        """Take the prefix from disk; it is doubted until something was computed behind it."""
        state = files.find(prefix)
        if state is None:
            return False
        if self.context.restore(state, prefix):
            self._doubted = list(prefix)
            return True
        files.drop(prefix)
        return False

    def _drop_prefix(self) -> bool:
        """Remove a prefix from disk that nothing could be computed behind; False: there is none."""
        prefix, self._doubted = self._doubted, None
        if prefix is None or self._files is None:
            return False
        self._files.drop(prefix)
        self.context.tokens = None
        return True


def _common(first: list[int], second: list[int]) -> int:
    """How many ids two lists begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))
