"""A session whose model a server computes: the same to everything above as llama.cpp's.

Text becomes token ids here, by a vocabulary that lies on this machine; the server gets the ids and
nothing else. Each ``read`` and ``extend`` is one question: how likely are the tokens that may
follow. What the server keeps of earlier questions (prefix caching) is its own affair, so nothing is
exact: its late digits depend on what else it computes.

This module knows nothing of answers and verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgeguard.errors import ClosedError, SessionError
from edgeguard.protocol.question import IM_END
from edgeguard.remote.connection import AT_A_TIME, Connection
from edgeguard.remote.next_token import NextToken
from edgeguard.remote.server import Server
from edgeguard.session.interface import Extend, ModelInfo, Read
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary import LoadedVocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RemoteSession:
    """One server, one vocabulary; see Session."""

    def __init__(
        self,
        connection: Connection,
        server: Server,
        vocabulary: LoadedVocabulary,
        info: ModelInfo,
        *,
        n_ctx: int,
        flag: StopFlag,
    ) -> None:
        """``info`` and ``n_ctx`` are what the server says of its model."""
        self.info = info
        self.n_ctx = min(n_ctx, info.n_ctx_train)
        self.flag = flag
        # A vocabulary has more that could end an answer, and a model that was trained on none of
        # them: servers do not list what is so unlikely.
        end = vocabulary.control_token(IM_END.text)
        self.end_tokens = () if end is None else (end,)
        self._connection = connection
        self._server = server
        self._vocabulary = vocabulary
        self._held: list[int] | None = None
        self._is_closed = False
        self._sequences = RemoteSequences(self)

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text."""
        return self._open()._vocabulary.tokenize(text)

    def control_token(self, text: str) -> int | None:
        """The id of a control token by its text; None if the vocabulary has no such token."""
        return self._open()._vocabulary.control_token(text)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        return self._open()._vocabulary.token_bytes(token)

    def read(
        self,
        tokens: Sequence[int],
        *,
        room: int,
        prefix: int = 0,  # noqa: ARG002 - the server finds out
        suffix: int = 0,  # noqa: ARG002
        exact: bool = True,  # noqa: ARG002 - it cannot be
        ahead: Sequence[int] = (),  # noqa: ARG002 - it is a question of its own
        wanted: Sequence[int] = (),
    ) -> NDArray[np.float32]:
        """Hold exactly these tokens, and ask what follows; see Session.read."""
        if not tokens or len(tokens) + room > self.n_ctx:
            raise SessionError(f"{len(tokens)} + {room} tokens do not fit {self.n_ctx}")
        self._held = list(tokens)
        (found,) = self.ask([(self._held, wanted)])
        return found

    def extend(
        self, tokens: Sequence[int], *, back: int = 0, wanted: Sequence[int] = ()
    ) -> NDArray[np.float32]:
        """Add tokens to those held, and ask what follows; see Session.extend."""
        if self._held is None:
            raise SessionError("nothing is read yet: there is nothing to extend")
        self._held = self._held[: len(self._held) - back] + list(tokens)
        (found,) = self.ask([(self._held, wanted)])
        return found

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> RemoteSequences:  # noqa: ARG002
        """Several questions that are under way at once; the server computes them together."""
        return self._sequences

    def ask(
        self, questions: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> list[NDArray[np.float32]]:
        """The logits after the tokens of each pair, for those wanted. Raises SessionError."""
        self._open()
        asks = [self._server.asks(tokens, wanted) for tokens, wanted in questions]
        found: list[NextToken] = [
            self._server.read(answer, tokens)
            for answer, (tokens, _) in zip(
                self._connection.ask_all([requests[0] for requests in asks]), questions
            )
        ]
        for place, (requests, (tokens, wanted)) in enumerate(zip(asks, questions)):
            for request in requests[1:]:
                if not found[place].knows(wanted):
                    answer = self._connection.ask(request)
                    found[place] = self._server.read(answer, tokens)
        return [one.logits(wanted, self.info.n_vocab) for one, (_, wanted) in zip(found, questions)]

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.close()
            self._vocabulary.close()

    def _open(self) -> RemoteSession:
        if self._is_closed:
            raise ClosedError("the guard is closed: make a new one")
        return self


class RemoteSequences:
    """See Sequences: what is asked of all of them is sent at once."""

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self._free = set(range(AT_A_TIME))
        self._held: dict[int, list[int]] = {}

    def take(self, tokens: int) -> int | None:  # noqa: ARG002 - a question that is too long is cut
        """The number of a free sequence."""
        if not self._free:
            return None
        number = min(self._free)
        self._free.remove(number)
        return number

    def give(self, sequence: int) -> None:
        """A sequence is no longer needed."""
        self._held.pop(sequence, None)
        self._free.add(sequence)

    def clear(self) -> None:
        """Nothing: the server decides what it keeps."""

    def compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, NDArray[np.float32]]:
        """Do what is asked of each sequence; see Sequences.compute."""
        try:
            for number, one in asked.items():
                self._held[number] = self._tokens(number, one)
            questions = [(self._held[number], one.wanted) for number, one in asked.items()]
            return dict(zip(asked, self._session.ask(questions)))
        except BaseException:
            self._held.clear()
            raise

    def _tokens(self, number: int, one: Read | Extend) -> list[int]:
        if isinstance(one, Read):
            return list(one.tokens)
        held = self._held.get(number)
        if held is None:
            raise SessionError(f"nothing is read into the sequence {number}")
        return held[: len(held) - one.back] + list(one.tokens)
