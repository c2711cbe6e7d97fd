"""The prefix cache of one context: reuses what was computed for the beginning of a question.

    the prefix of a mode   the text that every question of the mode begins with, computed in batches
                           of its own, or read from disk if an earlier process computed it so
    the common prefix      the longest sequence of ids that the held and the new tokens begin with

An exact read reuses the common prefix only as far as a computation from nothing would have had the
same batches: so a question gives the same bits whether it is the first of a process or the
thousandth. An inexact read reuses all of it if the new tokens continue the question held, as a
growing text does, or if that saves much. Its numbers may differ in late digits, because the tokens
were split into other batches.

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
"""Tokens that an inexact read must save if the text continues; fewer are not worth other digits."""
_MUCH = 128
"""Tokens that it must save otherwise: half a second with the 0.6B model on two cores."""
_JOINED = 8
"""How many of a text's last tokens may change when it continues: the end of a word, and characters
that the tokenizer joined with the blank line after it."""


class PrefixCache:
    """Reads questions that begin alike into one context."""

    def __init__(self, context: Context, files: PrefixFiles | None = None) -> None:
        """``files`` stores the prefix for other processes."""
        self.context = context
        self._files = files
        # How many of the held tokens were computed in the same batches as from nothing.
        self._exact = 0
        self._conversation = 0  # where the held question's conversation ends and its suffix begins
        self._end = 0
        self._ahead: tuple[list[int], NDArray[np.float32]] | None = None
        self._doubted: list[int] | None = None  # a prefix from disk that is not yet proven good

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
        """Hold exactly these tokens; returns the logits after the last: float32, (n_vocab,)."""
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
        """Drop the last ``back`` tokens, then add these; returns the logits: (n_vocab,)."""
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
        """The KV cells of a prefix, for another context; only the prefix is held afterwards.

        None if llama.cpp does not return them. Raises SessionError.
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
        """Free the memory; it is allocated again when it is needed."""
        self.context.free()

    # What is reused

    def _keep(self, tokens: list[int], prefix: int, exact: bool) -> int:
        """Cut the context back to the tokens that can be reused, and return their number."""
        common = _common(self.context.tokens or [], tokens[:-1])
        if common < prefix:
            kept = border = 0
        else:
            size = self.context.n_batch
            border = prefix + max(0, min(common, self._exact) - prefix) // size * size
            is_same = common == len(tokens) - 1
            kept = border if exact or is_same or common - border < self._least(common) else common
        if kept == border:  # the rest is batched as from nothing
            self._exact = len(tokens)
        else:
            self._exact = min(self._exact, kept)
        self._cut_back(kept)
        return kept

    def _least(self, common: int) -> int:
        """How many tokens an inexact read must save, given how many ids are common."""
        goes_on = common >= self._conversation - _JOINED
        return _LITTLE if goes_on else _MUCH

    def _cut_back(self, kept: int) -> None:
        self._ahead = None
        self.context.keep(kept)

    def _compute(self, tokens: list[int], ahead: list[int]) -> NDArray[np.float32]:
        """The logits after the tokens of a question; those after ``ahead`` are stored."""
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
        """Read the prefix from disk; it is doubtful until a computation after it succeeds."""
        state = files.find(prefix)
        if state is None:
            return False
        if self.context.restore(state, prefix):
            self._doubted = list(prefix)
            return True
        files.drop(prefix)
        return False

    def _drop_prefix(self) -> bool:
        """Remove a doubtful prefix from disk after a failed computation; False if there is none."""
        prefix, self._doubted = self._doubted, None
        if prefix is None or self._files is None:
            return False
        self._files.drop(prefix)
        self.context.tokens = None
        return True


def _common(first: list[int], second: list[int]) -> int:
    """How many ids two lists have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))
