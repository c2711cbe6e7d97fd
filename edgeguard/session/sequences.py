"""Several sequences of tokens in one KV cache of llama.cpp, computed in common passes.

    a prefix      what questions begin with: held once, its cells shared by all that begin so
    a sequence    the tokens of one question behind its prefix, and of the answer behind it

A pass over many tokens reads the weights once. So the last tokens of one question, and the short
passes of another's answer, cost little beside the tokens of a third. What comes out differs from
what a sequence alone gives, in late digits, and depends on what else was in the pass.

Cells lie in one buffer for all sequences: attention skips those of the others in whole blocks.
This module knows nothing of text, and does not choose what is computed together.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import SessionError
from edgeguard.session.interface import Extend, Read
from edgeguard.session.library import lib
from edgeguard.session.passes import logits_at, new_context, run_pass
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.token_batch import TokenBatch

ROOM = 192
"""Tokens for each sequence, in common and prefixes aside: of eight, 168 MB with the 0.6B model
while they are in use. benchmarks/throughput.py compares eight with one."""

Logits = NDArray[np.float32]


@dataclass
class _Held:
    """A sequence: how many tokens it has, and what was computed ahead behind them."""

    tokens: int
    ahead: tuple[int, ...] = ()
    later: Logits | None = None


@dataclass(frozen=True)
class _Work:
    """Tokens to be computed in one sequence, the first at ``place``; two outputs if ahead."""

    sequence: int
    place: int
    tokens: tuple[int, ...]
    ahead: tuple[int, ...] = ()

    @property
    def outputs(self) -> set[int]:
        """Which of all tokens have logits."""
        last = len(self.tokens) - 1
        return {last, last + len(self.ahead)}


class LlamaSequences:
    """See Sequences."""

    def __init__(
        self,
        model: Any,
        *,
        n_vocab: int,
        settings: Settings,
        flag: StopFlag,
        prefixes: tuple[tuple[int, ...], ...],
        prefix_state: Callable[[tuple[int, ...]], memoryview | None],
    ) -> None:
        """``prefixes``: what questions begin with; ``prefix_state``: its cells, as Context.state
        gives them, if they are to be had."""
        self._model = model
        self._n_vocab = n_vocab
        self._settings = settings
        self._flag = flag
        self._known = prefixes
        self._prefix_state = prefix_state
        self._context: Any = None
        self._prefixes: dict[tuple[int, ...], int] = {}
        self._held: dict[int, _Held] = {}
        self._taken: dict[int, int] = {}

    def take(self, tokens: int) -> int | None:
        """The number of a free sequence; see Sequences."""
        free = set(range(self._settings.sequences)) - set(self._taken)
        if not free or tokens + sum(self._taken.values()) > self._room:
            return None
        sequence = min(free)
        self._taken[sequence] = tokens
        return sequence

    def give(self, sequence: int) -> None:
        """A sequence is no longer needed."""
        self._taken.pop(sequence, None)

    def clear(self) -> None:
        """Forget everything; see Sequences. What is computed next has the bits of a new context."""
        if self._context is not None and not self._taken:
            # Where a sequence's cells lie decides in which order attention adds them up.
            lib.llama_memory_clear(lib.llama_get_memory(self._context), False)
            self._prefixes.clear()
            self._held.clear()

    def compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, Logits]:
        """Do what is asked of each sequence; see Sequences."""
        try:
            return self._compute(asked)
        except BaseException:
            self.free()
            raise

    def use(self, settings: Settings) -> None:
        """Compute with other settings from now on; what was computed is forgotten."""
        self.free()
        self._settings = settings

    def free(self) -> None:
        """Give the memory back; it is taken again when it is needed."""
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self._prefixes.clear()
        self._held.clear()

    # What is computed

    def _compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, Logits]:
        found: dict[int, Logits] = {}
        work: list[_Work] = []
        self._prepare([one for one in asked.values() if isinstance(one, Read)])
        for sequence, one in asked.items():
            if isinstance(one, Read):
                work.append(self._begin(sequence, one))
                continue
            later = self._ready(sequence, one)
            if later is None:
                work.append(self._go_on(sequence, one))
            else:
                found[sequence] = later
        for each, logits in zip(work, self._pass(work)):
            held = self._held[each.sequence]
            held.tokens = each.place + len(each.tokens) + len(each.ahead)
            held.ahead = each.ahead
            held.later = logits[-1] if each.ahead else None
            found[each.sequence] = logits[0]
        return found

    def _begin(self, sequence: int, read: Read) -> _Work:
        """Empty a sequence, and have it begin with the prefix."""
        if sequence not in self._taken:
            raise SessionError(f"the sequence {sequence} was not taken")
        memory = lib.llama_get_memory(self._context)
        lib.llama_memory_seq_rm(memory, sequence, -1, -1)
        prefix = self._prefix(read)
        if prefix:
            lib.llama_memory_seq_cp(memory, self._prefixes[prefix], sequence, 0, len(prefix))
        self._held[sequence] = _Held(len(prefix))
        ahead = read.ahead if len(read.ahead) <= read.room else ()
        return _Work(sequence, len(prefix), read.tokens[len(prefix) :], ahead)

    def _ready(self, sequence: int, extend: Extend) -> Logits | None:
        """The logits that are there already; else what was computed ahead is given up."""
        held = self._held.get(sequence)
        if held is None:
            raise SessionError(f"nothing is read yet in sequence {sequence}")
        later, ahead = held.later, held.ahead
        held.later, held.ahead = None, ()
        if later is not None and extend.tokens == ahead and not extend.back:
            return later
        self._cut(sequence, len(ahead))
        return None

    def _go_on(self, sequence: int, extend: Extend) -> _Work:
        self._cut(sequence, extend.back)
        return _Work(sequence, self._held[sequence].tokens, extend.tokens)

    def _cut(self, sequence: int, back: int) -> None:
        """Give up the last tokens of a sequence."""
        if back:
            held = self._held[sequence]
            held.tokens -= back
            memory = lib.llama_get_memory(self._context)
            if not lib.llama_memory_seq_rm(memory, sequence, held.tokens, -1):
                raise SessionError("llama.cpp cannot go back in its context; check again")

    def _pass(self, work: list[_Work]) -> list[list[Logits]]:
        """Compute all of it, in as few passes as the settings allow; the logits asked for."""
        found: list[list[Logits]] = [[] for _ in work]
        batch = TokenBatch(self._settings.n_batch)
        whose: list[tuple[int, int]] = []  # for each output of a pass: its place, and which work
        for index, each in enumerate(work):
            for offset, token in enumerate(each.tokens + each.ahead):
                if offset in each.outputs:
                    whose.append((len(batch), index))
                batch.add(token, each.place + offset, each.sequence, offset in each.outputs)
                if batch.is_full:
                    self._decode(batch, whose, found)
        self._decode(batch, whose, found)
        return found

    def _decode(
        self, batch: TokenBatch, whose: list[tuple[int, int]], found: list[list[Logits]]
    ) -> None:
        """One pass of llama.cpp; the batch is empty after it."""
        if not len(batch):
            return
        run_pass(self._context, batch.native(), self._flag)
        for place, index in whose:
            found[index].append(logits_at(self._context, place, self._n_vocab))
        whose.clear()
        batch.clear()

    # Where it is held

    @property
    def _room(self) -> int:
        """Tokens of all sequences together."""
        return ROOM * self._settings.sequences

    def _prepare(self, reads: list[Read]) -> None:
        """Have a context, and in it the prefixes that these questions begin with."""
        if self._context is None:
            self._context = self._new(self._room + sum(map(len, self._known)))
        for prefix in dict.fromkeys(map(self._prefix, reads)):
            if prefix and prefix not in self._prefixes:
                sequence = self._settings.sequences + len(self._prefixes)
                self._add_prefix(prefix, sequence)
                self._prefixes[prefix] = sequence

    def _prefix(self, read: Read) -> tuple[int, ...]:
        """The known prefix that a question begins with; empty where it is none of them."""
        prefix = read.tokens[: min(read.prefix, len(read.tokens) - 1)]
        return prefix if prefix in self._known else ()

    def _add_prefix(self, prefix: tuple[int, ...], sequence: int) -> None:
        """Put a prefix into a sequence of its own, by its cells where they are to be had."""
        state = self._prefix_state(prefix)
        if state is not None:
            source = (ctypes.c_uint8 * len(state)).from_buffer(state)
            taken = lib.llama_state_seq_set_data(self._context, source, len(state), sequence)
            last = lib.llama_memory_seq_pos_max(lib.llama_get_memory(self._context), sequence)
            if taken == len(state) and last == len(prefix) - 1:
                return
            raise SessionError("llama.cpp does not take back the state it gave; check again")
        self._pass([_Work(sequence, 0, prefix)])

    def _new(self, n_ctx: int) -> Any:
        return new_context(
            self._model,
            n_ctx,
            self._settings,
            self._flag,
            f"for {self._settings.sequences} texts at a time, {n_ctx} tokens",
            outputs=2 * self._settings.sequences,
            sequences=self._settings.sequences + len(self._known),
        )
