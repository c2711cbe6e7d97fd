"""A session without a model: a script answers each question.

It behaves like the real session, down to tokens (one per byte, and a few control tokens). So
everything above it can be tested in microseconds, with errors and odd answers that no real model
gives on demand. It does not imitate a model's probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgeguard.errors import CancelledError, ClosedError, EdgeguardError, SessionError
from edgeguard.protocol.names import PROTOCOL
from edgeguard.protocol.question import CONTROLS, IM_END
from edgeguard.session.interface import Extend, ModelInfo, Read
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CONTROL = {control.text: 256 + i for i, control in enumerate(CONTROLS)}
_N_VOCAB = 256 + len(CONTROLS)

FAKE_INFO = ModelInfo(
    architecture="qwen3",
    name="fake",
    type="none",
    protocol=PROTOCOL,
    n_ctx_train=32768,
    n_vocab=_N_VOCAB,
    tokenizer="gpt2",
    pre_tokenizer="qwen2",
    device="cpu",
)


class FakeSession:
    """Answers the question text with ``script(question text)``; records the calls in ``reads``."""

    def __init__(
        self,
        script: Callable[[str], str],
        *,
        info: ModelInfo = FAKE_INFO,
        n_ctx: int = 8192,
        confidence: float = 10.0,
        seconds: float = 0.0,
    ) -> None:
        """``confidence`` is the logit of the scripted token; all others are 0.

        ``seconds`` is how long each ``read`` takes, unless the flag ends it.
        """
        self.info = info
        self.flag = StopFlag()
        self._seconds = seconds
        self.n_ctx = n_ctx
        self.end_tokens: tuple[int, ...] = (_CONTROL[IM_END.text],)
        self.reads: list[tuple[int, ...]] = []
        self.exact: list[bool] = []
        self.ahead: tuple[int, ...] = ()
        self.wanted: tuple[int, ...] = ()
        self.passes = 0
        self.settings: Settings | None = None
        self._script = script
        self._confidence = confidence
        self._held: list[int] | None = []
        self._answer: list[int] = []
        self._question = 0
        self._sequences = FakeSequences(self)

    def tokenize(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(text.encode("utf-8"))

    def control_token(self, text: str) -> int | None:
        """The id of one of the protocol's control tokens."""
        return _CONTROL.get(text)

    def token_bytes(self, token: int) -> bytes:
        """The byte itself; empty for a control token."""
        return bytes([token]) if token < 256 else b""

    def read(
        self,
        tokens: Sequence[int],
        *,
        room: int,
        prefix: int = 0,
        suffix: int = 0,
        exact: bool = True,
        ahead: Sequence[int] = (),
        wanted: Sequence[int] = (),
    ) -> NDArray[np.float32]:
        """Hold a question, and return the scripted token after the part of the answer written."""
        if len(tokens) + room > self.n_ctx:
            raise SessionError(f"{len(tokens)} + {room} tokens do not fit {self.n_ctx}")
        if not 0 <= prefix <= len(tokens) - suffix <= len(tokens):
            raise SessionError(f"{prefix} and {suffix} are not parts of {len(tokens)} tokens")
        self.take_time()
        self.exact.append(exact)
        self.ahead = tuple(ahead)
        self.wanted = tuple(wanted)
        self.reads.append(tuple(tokens))
        text = b"".join(self.token_bytes(token) for token in tokens).decode("utf-8", "replace")
        self._question = max(i for i, token in enumerate(tokens) if token >= 256) + 3
        self._answer = [*self._script(text).encode("utf-8"), self.end_tokens[0]]
        self._held = list(tokens)
        return self._logits()

    def extend(
        self, tokens: Sequence[int], *, back: int = 0, wanted: Sequence[int] = ()
    ) -> NDArray[np.float32]:
        """Continue with the script."""
        self.wanted = tuple(wanted)
        if self._held is None:
            raise ClosedError("the session is closed")
        del self._held[len(self._held) - back :]
        self._held.extend(tokens)
        return self._logits()

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> FakeSequences:  # noqa: ARG002
        """That many fake sessions, one per sequence."""
        return self._sequences

    def alike(self) -> FakeSession:
        """Another session with the same script and the same flag."""
        other = FakeSession(
            self._script, info=self.info, n_ctx=self.n_ctx, confidence=self._confidence
        )
        other.flag = self.flag
        return other

    def use(self, settings: Settings) -> None:
        """Record the settings; there are as many sequences as they say from now on."""
        self.settings = settings
        self._sequences.use(settings)

    def close(self) -> None:
        """Forget everything."""
        self._held = None

    def take_time(self) -> None:
        """Wait as long as a pass takes."""
        end = time.monotonic() + self._seconds
        while time.monotonic() < end and not self.flag.is_set:
            time.sleep(0.002)
        if self.flag.is_set:
            raise CancelledError("the computation was stopped")

    def _logits(self) -> NDArray[np.float32]:
        import numpy as np

        if self._held is None:
            raise ClosedError("the session is closed")
        self.passes += 1
        logits = np.zeros(_N_VOCAB, dtype=np.float32)
        written = self._held[self._question :]
        if written == self._answer[: len(written)] and len(written) < len(self._answer):
            logits[self._answer[len(written)]] = self._confidence
        return logits


class FakeSequences:
    """Several fake sessions; ``passes`` records which sequences each joint pass contained."""

    def __init__(self, session: FakeSession, most: int = 4) -> None:
        self.passes: list[tuple[int, ...]] = []
        self.cleared = 0
        self.error: EdgeguardError | None = None
        self._session = session
        self._most = most
        self._taken: set[int] = set()
        self._held: dict[int, FakeSession] = {}

    def take(self, tokens: int) -> int | None:
        """The number of a free sequence."""
        free = set(range(self._most)) - self._taken
        if not free or tokens > self._session.n_ctx:
            return None
        self._taken.add(min(free))
        return min(free)

    def use(self, settings: Settings) -> None:
        """Have as many sequences as the settings say."""
        self._most = settings.sequences

    def give(self, sequence: int) -> None:
        """Free a sequence."""
        self._taken.remove(sequence)

    def clear(self) -> None:
        """Forget everything, unless a sequence is taken."""
        if not self._taken:
            self.cleared += 1
            self._held.clear()

    def compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, NDArray[np.float32]]:
        """Pass each request to its sequence's session; or raise ``error``, once."""
        self.passes.append(tuple(asked))
        error, self.error = self.error, None
        if error is not None:
            self._held.clear()
            raise error
        self._session.take_time()
        return {number: self._one(number, one) for number, one in asked.items()}

    def _one(self, number: int, one: Read | Extend) -> NDArray[np.float32]:
        if number not in self._taken:
            raise SessionError(f"the sequence {number} was not taken")
        if isinstance(one, Extend):
            return self._held[number].extend(one.tokens, back=one.back)
        self._held[number] = self._session.alike()
        return self._held[number].read(
            one.tokens, room=one.room, prefix=one.prefix, suffix=one.suffix, exact=one.exact
        )
