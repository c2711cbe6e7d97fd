"""A Qwen3Guard-Stream without a model: a script labels each token.

Its tokens are bytes, as FakeSession's. Its metadata contains real heads, as a file would, and its
hidden states are made so that these heads produce the script's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from edgeguard.errors import CancelledError, ClosedError, SessionError
from edgeguard.gguf import heads
from edgeguard.protocol.names import SAFE, Severity
from edgeguard.protocol.question import IM_END, IM_START
from edgeguard.protocol.stream import PROTOCOL, QUERY_CATEGORIES, RISKS
from edgeguard.session.fake import FAKE_INFO, FakeSession

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Script = Callable[[str, str], Severity | tuple[Severity, str]]
"""The label of a token, given the role and its message up to the token: a severity, perhaps with
a category."""

_HIDDEN = 32
FAKE_STREAM_INFO = replace(FAKE_INFO, protocol=PROTOCOL, n_ctx_train=8192)


def _safe(_role: str, _text: str) -> Severity:
    return SAFE


class FakeStreamSession(FakeSession):
    """Returns hidden states that follow ``script``; see StreamSession."""

    def __init__(self, script: Script = _safe, *, n_ctx: int = 8192, seconds: float = 0.0) -> None:
        """``seconds`` is how long a token takes, unless the flag ends it."""
        super().__init__(lambda _text: "", info=FAKE_STREAM_INFO, n_ctx=n_ctx, seconds=seconds)
        self.hidden = _HIDDEN
        self.opened: list[FakeStates] = []
        self._label = script
        self._keys: dict[str, str] = {}

    def metadata(self, key: str) -> str | None:
        """The heads, stored as in a file."""
        if not self._keys:
            self._keys = _keys()
        return self._keys.get(key)

    def hidden_states(self) -> FakeStates:
        """A new sequence."""
        if self._held is None:
            raise ClosedError("the session is closed")
        self.opened.append(FakeStates(self, self._label))
        return self.opened[-1]


class FakeStates:
    """See States; ``computed`` counts the tokens computed, ``passes`` the calls."""

    def __init__(self, session: FakeStreamSession, script: Script) -> None:
        self.computed = 0
        self.passes = 0
        self.freed = False
        self.held: list[int] = []
        self._session = session
        self._script = script

    def read(self, tokens: Sequence[int], first: int) -> NDArray[np.float32]:
        """The states from which the heads compute the script's labels."""
        import numpy as np

        if len(tokens) > self._session.n_ctx:
            raise SessionError(f"{len(tokens)} tokens do not fit {self._session.n_ctx}")
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(self.held, tokens))
        kept = min(sum(1 for _ in shared), first)
        self.held = list(tokens[:kept])
        if self._session.flag.is_set:
            raise CancelledError("the computation was stopped")
        self._session.take_time()
        self.computed += len(tokens) - kept
        self.passes += 1
        self.held = list(tokens)
        states = [self._state(tokens[: place + 1]) for place in range(first, len(tokens))]
        return np.array(states, np.float32).reshape(-1, _HIDDEN)

    def free(self) -> None:
        """Forget everything."""
        self.freed, self.held = True, []

    def _state(self, tokens: Sequence[int]) -> list[float]:
        role, text = _message(self._session, tokens)
        said = self._script(role, text)
        severity, category = (said, None) if isinstance(said, str) else said
        state = [0.0] * _HIDDEN
        state[RISKS.index(severity)] = 1.0
        if category is not None:
            state[len(RISKS) + QUERY_CATEGORIES.index(category)] = 1.0
        return state


def _message(session: FakeStreamSession, tokens: Sequence[int]) -> tuple[str, str]:
    """The role and the text of the message that the last token belongs to."""
    begin, end = session.control_token(IM_START.text), session.control_token(IM_END.text)
    start = max(place for place, token in enumerate(tokens) if token == begin)
    data = b"".join(session.token_bytes(token) for token in tokens[start + 1 :] if token != end)
    role, _, text = data.decode("utf-8", "replace").partition("\n")
    return role, text.removeprefix("\n\n\n\n") if role == "assistant" else text


def _keys() -> dict[str, str]:
    """Heads that produce a label for each state with a one at its index."""
    import numpy as np

    found = {heads.PREFIX + name: labels for name, labels in heads.maps().items()}
    found[heads.EPSILON] = "1e-06"
    tiny = np.float32(1e-9)  # all-zero heads would be taken for damaged ones
    for name, shape in heads.shapes(_HIDDEN, _HIDDEN).items():
        head = np.full(shape, tiny, "<f4")
        if name.endswith(heads.NORM):
            head[:] = 1.0
        elif name.endswith(heads.PRE):
            head += np.eye(_HIDDEN, dtype=np.float32)
        else:
            first = 0 if name.endswith(heads.RISK) else len(RISKS)
            for row in range(shape[0]):
                head[row, first + row] = 10.0
        found[heads.HEAD + name] = heads.write("f32", shape, head.tobytes())
    return found
