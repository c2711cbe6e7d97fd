"""The class that programs feed while a response is written; it gives states, then a verdict.

    with guard.watch(messages) as watch:
        for piece in model_output:
            state = watch.feed(piece)
            if state.flagged:
                break
        verdict = watch.end()

Two engines judge: a Qwen3Guard-Stream token by token (edgeguard.watch.stream), and a Qwen3Guard-Gen
at intervals (edgeguard.watch.interval). This module guarantees what is the same for both: nothing
is safe before it is judged, what is flagged stays flagged, and what was released is never taken
back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

from edgeguard.errors import ClosedError, InputError
from edgeguard.protocol.names import SEVERITY_RANK
from edgeguard.protocol.visible import has_visible
from edgeguard.stream.interface import TokenLabel
from edgeguard.verdict import Verdict
from edgeguard.watch.pieces import Pieces
from edgeguard.watch.state import WatchState


@dataclass(frozen=True)
class Judged:
    """An engine's result: up to which character it read, and where harm begins, if it does.

    ``verdict`` is that of the text up to ``to``. If it is flagged, ``start`` is the last position
    up to which the text is not. ``safe_to``: up to where it may be shown then; None: all that is
    judged.
    """

    to: int
    verdict: Verdict
    start: int | None = None
    windows: int = 1
    safe_to: int | None = None


class Engine(Protocol):
    """Judges a growing response."""

    @property
    def prompt(self) -> Verdict | None:
        """The verdict on the conversation that the response answers; None if it is not known."""

    def read(self, text: str, *, last: bool) -> Judged | None:
        """Judge the next part of the text that is worth a pass; None: nothing yet.

        The text begins with that of the previous call. ``last``: nothing more comes, so all of it
        must be judged before None is returned.
        """

    def labels(self) -> tuple[TokenLabel, ...]:
        """The labels of the tokens judged so far; empty for an engine without tokens."""

    def close(self) -> None:
        """Free what the engine holds."""


class Watch:
    """Judges one response. Use it as a context manager. Threads may feed it in turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pieces = Pieces()
        self._state = WatchState()
        self._verdict: Verdict | None = None
        self._visible = False
        self._ended = False
        self._turn = threading.Lock()

    @property
    def prompt(self) -> Verdict | None:
        """The verdict on the conversation that the response answers; None if there is none."""
        return self._engine.prompt

    @property
    def state(self) -> WatchState:
        """How far the response is judged."""
        return self._state

    @property
    def text(self) -> str:
        """The text fed so far, up to its last complete character."""
        return self._pieces.text

    @property
    def labels(self) -> tuple[TokenLabel, ...]:
        """The label of each token judged so far by a Qwen3Guard-Stream; empty with a Gen."""
        return self._engine.labels()

    def feed(self, piece: str | bytes) -> WatchState:
        """Add the next piece of the response, cut anywhere; judge the text if enough has come.

        Raises InputError for invalid text (which is then not added), ClosedError after the end, and
        whatever a check raises: the state then stays as it was, and text that was not judged is not
        safe.
        """
        with self._turn:
            self._check_open()
            self._pieces.add(piece)
            self._read(last=False)
            return self._state

    def end(self) -> Verdict:
        """Judge the rest, and return the verdict on the whole response.

        Raises InputError if there is nothing to judge, and whatever ``feed`` raises.
        """
        with self._turn:
            if self._ended and self._verdict is not None:
                return self._verdict
            self._check_open()
            if not self._state.flagged:
                self._pieces.end()
                if not has_visible(self.text):
                    raise InputError("there is nothing to judge: the response is empty")
            self._read(last=True)
            assert self._verdict is not None
            self._ended = True
            return self._verdict

    def close(self) -> None:
        """Stop watching; calling it again does nothing."""
        self._ended = True
        self._engine.close()

    def _read(self, *, last: bool) -> None:
        self._visible = self._visible or has_visible(self.text)
        if not self._visible:
            return  # blank text: nothing to judge, and nothing to show
        while not self._state.flagged:
            judged = self._engine.read(self.text, last=last)
            if judged is None:
                return
            self._verdict = judged.verdict
            self._state = _after(self._state, judged)

    def _check_open(self) -> None:
        if self._ended:
            raise ClosedError("the watch has ended: begin another one with guard.watch()")

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _after(state: WatchState, judged: Judged) -> WatchState:
    """The next state: the worst result counts, and safe_to never decreases."""
    verdict = judged.verdict
    is_worse = verdict.flagged or (SEVERITY_RANK[verdict.severity] >= SEVERITY_RANK[state.severity])
    if is_worse:
        state = replace(
            state,
            severity=verdict.severity,
            categories=verdict.categories,
            probabilities=verdict.probabilities,
        )
    start = max(judged.start or 0, state.safe_to)
    safe = judged.to if judged.safe_to is None else judged.safe_to
    return replace(
        state,
        flagged=verdict.flagged,
        judged_to=judged.to,
        safe_to=start if verdict.flagged else max(safe, state.safe_to),
        span=(start, judged.to) if verdict.flagged else None,
        reason=getattr(verdict, "reason", ""),
        windows=judged.windows,
    )
