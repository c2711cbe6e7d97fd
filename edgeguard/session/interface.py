"""What the rest of edgeguard needs of a loaded model, without anything of llama.cpp.

Two classes implement it: LlamaSession runs llama.cpp; FakeSession follows a script, so that
everything above can be tested without a model. A session is used by one thread; see
edgeguard.session.thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeguard.session.stop_flag import StopFlag

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself, and where it runs.

    ``type`` is the quantization type in lower case (``q4_k_m``); ``protocol`` is what our own
    converter writes, None in other people's files; ``n_ctx_train`` is in tokens; ``device`` is
    ``cpu`` or the name of the accelerator that holds the layers.
    """

    architecture: str
    name: str
    type: str
    protocol: str | None
    n_ctx_train: int
    n_vocab: int
    tokenizer: str
    pre_tokenizer: str
    device: str


@dataclass(frozen=True)
class VocabularyFacts:
    """What a load found out about a file's vocabulary, so that the next one need not look for it.

    ``special`` are the ids of the tokens that are no ordinary text.
    """

    architecture: str
    size: int
    special: tuple[int, ...]


@dataclass(frozen=True)
class Read:
    """The arguments of one call of ``Session.read``."""

    tokens: tuple[int, ...]
    room: int
    prefix: int = 0
    suffix: int = 0
    exact: bool = True
    ahead: tuple[int, ...] = ()
    wanted: tuple[int, ...] = ()


@dataclass(frozen=True)
class Extend:
    """The arguments of one call of ``Session.extend``."""

    tokens: tuple[int, ...]
    back: int = 0
    wanted: tuple[int, ...] = ()


class Sequences(Protocol):
    """Several sequences of tokens in one context, numbered from 0.

    Their tokens are computed in shared passes, which cost less than a pass for each sequence. The
    logits differ in late digits from those of a sequence that is computed alone.
    """

    def take(self, tokens: int) -> int | None:
        """The number of a free sequence for at most so many tokens after its prefix.

        None if no sequence is free, or too little of the space that they share.
        """

    def give(self, sequence: int) -> None:
        """Free a sequence."""

    def clear(self) -> None:
        """Forget everything, so that nothing computed before touches what is computed next.

        Does nothing while a sequence is taken.
        """

    def compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, NDArray[np.float32]]:
        """Carry out one request per sequence; the logits after its last token: (n_vocab,).

        ``Read`` begins a sequence anew; its ``exact`` and ``suffix`` are ignored. Raises
        SessionError; the content of the sequences is then lost.
        """


class Session(Protocol):
    """A loaded model with one sequence of tokens in its context."""

    @property
    def info(self) -> ModelInfo:
        """What the file says of itself; edgeguard.session.compatibility checks it."""

    @property
    def n_ctx(self) -> int:
        """The most tokens that a question and its answer may have together."""

    @property
    def flag(self) -> StopFlag:
        """Ends ``read`` and ``extend`` with CancelledError while it is set."""

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The ids that end an answer."""

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text. Nothing in it is read as a special token."""

    def control_token(self, text: str) -> int | None:
        """The id of a control token by its text; None if the vocabulary has no such token."""

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for."""

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
        """Hold exactly these tokens, and return the logits after the last: float32, (n_vocab,).

        ``room`` is how many tokens ``extend`` may add. The first ``prefix`` tokens are the same in
        many calls and are computed once. The last ``suffix`` are the same too, but follow the text,
        so they do not count when a grown text is compared with the one held. ``exact``: the result
        does not depend on earlier calls; otherwise everything they computed is reused, which
        changes late digits; see edgeguard.session.prefix_cache. ``ahead`` is the most likely
        argument of the next ``extend``: it is computed in the same pass, where it costs little.
        ``wanted`` are the tokens whose logits are looked at one by one; the probability of all
        others may be given to one of them, and -inf to the rest. Raises SessionError.
        """

    def extend(
        self, tokens: Sequence[int], *, back: int = 0, wanted: Sequence[int] = ()
    ) -> NDArray[np.float32]:
        """Add tokens to those held, and return the logits after the last: float32, (n_vocab,).

        ``back``: first drop so many of the tokens held. ``wanted``: as in ``read``.
        """

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> Sequences:
        """Several sequences beside the one that ``read`` holds; the same object at every call.

        ``prefixes``: the ids that questions begin with; only those of the first call are used.
        """

    def close(self) -> None:
        """Free the memory; calling it again does nothing."""
