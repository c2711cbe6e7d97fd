"""A response watched while it is written: text goes in as it comes, a state comes out each time.

    with guard.watch([{"role": "user", "content": "…"}]) as watch:
        for piece in stream:
            state = watch.feed(piece)
            show(response[: state.safe_to])
            if state.flagged:
                break
        verdict = watch.end()

This module puts the pieces together and makes the verdict; an engine (edgeguard.stream.interface)
judges, in the model's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from edgeguard.errors import ClosedError, InputError
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.messages import Message, check_visible
from edgeguard.protocol.names import Mode
from edgeguard.protocol.visible import has_visible
from edgeguard.stream.interface import Engine, Reading, TokenLabel
from edgeguard.stream.pieces import Pieces
from edgeguard.verdict import ModelId, Probabilities, Verdict

WatchState = Reading


class Watch:
    """One response on its way, fed by one thread. A context manager; else call ``close()``.

    ``prompt`` is the verdict on the user's message, which was judged when the watch began.
    """

    def __init__(
        self,
        engine: Engine,
        messages: tuple[Message, ...],
        run: Callable[[Callable[[], Reading]], Reading],
        free: Callable[[Callable[[], None]], None],
        *,
        model: ModelId,
        device: str,
        policy: str,
    ) -> None:
        """``run`` and ``free`` call a function in the model's thread, and wait for it."""
        self._engine = engine
        self._run, self._free = run, free
        self._model, self._device, self._policy = model, device, policy
        self._pieces = Pieces()
        self._waiting = ""  # text that the engine has not got yet
        self._seconds = 0.0
        self._visible = False
        self._text: list[str] = []
        self._open = True
        try:
            self.prompt = self._verdict(self._timed(lambda: engine.begin(messages)), "prompt")
        except BaseException:
            self.close()
            raise

    def feed(self, piece: str | bytes) -> WatchState:
        """More of the response, cut anywhere; bytes are UTF-8.

        Raises InputError (a piece that is no text, of which nothing is taken then), SessionError,
        ModelError, CancelledError, TimeoutError, ClosedError. After any but an InputError the text
        of the piece is kept: go on with the next piece, or with an empty one.
        """
        self._check_open()
        text = self._pieces.add(piece)
        if not self._visible:
            self._text.append(text)
            self._visible = has_visible(text)
        self._waiting += text  # here and not in the call, which may be given up before it begins
        return self._timed(self._feed)

    def end(self) -> Verdict:
        """The response is whole: judge what waited; the verdict on all of it.

        Raises what ``feed`` does, and InputError for a response that ends inside a character or
        has nothing to judge.
        """
        self._check_open()
        self._pieces.end()
        if not self._visible:
            check_visible("".join(self._text))
        verdict = self._verdict(self._timed(self._finish), "response")
        self.close()
        return verdict

    def labels(self) -> tuple[TokenLabel, ...]:
        """The labels of the tokens judged so far; none from an engine that has no tokens."""
        return self._engine.labels()

    def close(self) -> None:
        """End the watch without a verdict; calling it again does nothing."""
        if self._open:
            self._open = False
            self._free(self._engine.close)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _feed(self) -> Reading:
        text, self._waiting = self._waiting, ""
        return self._engine.feed(text)  # which keeps it, whatever happens

    def _finish(self) -> Reading:
        if self._waiting:
            self._feed()
        return self._engine.end()

    def _check_open(self) -> None:
        if not self._open:
            raise ClosedError("this watch has ended: begin another one for the next response")

    def _timed(self, function: Callable[[], Reading]) -> Reading:
        started = time.perf_counter()
        try:
            return self._run(function)
        finally:
            self._seconds += time.perf_counter() - started

    def _verdict(self, reading: Reading, mode: Mode) -> Verdict:
        return Verdict(
            mode=mode,
            severity=reading.severity,
            probabilities=Probabilities(reading.probabilities),
            categories=reading.categories,
            refusal=reading.refusal,
            policy=self._policy,
            flagged=reading.flagged,
            answer=write(Answer(reading.severity, reading.categories, reading.refusal)),
            model=self._model,
            device=self._device,
            tokens=reading.tokens,
            windows=reading.windows,
            seconds=round(self._seconds, 6),
        )


def check_conversation(messages: tuple[Message, ...]) -> None:
    """Raise InputError unless a response can follow."""
    if messages[-1].role != "user":
        raise InputError(
            "the last message must be the user's: what is watched is the response to it"
        )
