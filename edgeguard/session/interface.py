"""What the rest of edgeguard needs of a loaded model, and nothing of llama.cpp.

Two classes have this shape: LlamaSession runs llama.cpp, FakeSession follows a script and lets
everything above be tested without a model. A session is used by one thread; see
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
class Read:
    """A call of ``Session.read``, written down."""

    tokens: tuple[int, ...]
    room: int
    prefix: int = 0
    suffix: int = 0
    exact: bool = True
    ahead: tuple[int, ...] = ()
    wanted: tuple[int, ...] = ()


@dataclass(frozen=True)
class Extend:
    """A call of ``Session.extend``, written down."""

    tokens: tuple[int, ...]
    back: int = 0
    wanted: tuple[int, ...] = ()


class Sequences(Protocol):
    """Several sequences of tokens in one context; each is a number from 0 on.

    What all of them need is computed in one pass, which costs less than a pass for each. The
    logits differ in late digits from those of a sequence that is computed alone.
    """

    def take(self, tokens: int) -> int | None:
        """The number of a free sequence, to hold so many tokens behind its prefix at most.

        None where no sequence, or too little of the room they share, is free.
        """

    def give(self, sequence: int) -> None:
        """A sequence is no longer needed."""

    def compute(self, asked: Mapping[int, Read | Extend]) -> dict[int, NDArray[np.float32]]:
        """Do what is asked of each sequence; the logits after its last token: (n_vocab,).

        ``Read`` begins a sequence anew; ``exact`` and ``suffix`` mean nothing here. Raises
        SessionError; what the sequences hold is then forgotten.
        """


class Session(Protocol):
    """A loaded model with one sequence of tokens in its context."""

    @property
    def info(self) -> ModelInfo:
        """What the file claims; edgeguard.session.compatibility checks it."""

    @property
    def n_ctx(self) -> int:
        """The most tokens that a question with its answer may have."""

    @property
    def flag(self) -> StopFlag:
        """Ends ``read`` and ``extend`` with CancelledError while it is set."""

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The ids that end an answer."""

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text. Nothing in it is ever read as a special token."""

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
        many calls and are computed once; the last ``suffix`` are the same too, and are in the way
        of a text that grows before them. ``exact``: the result does not depend on earlier calls;
        else whatever they computed is used again, which costs late digits; see
        edgeguard.session.prefix_cache. ``ahead`` is what ``extend`` will most likely be called
        with: it is computed in the same pass, and costs little there. ``wanted`` are the tokens
        whose logits are looked at one by one; those of all others may be given as one, with their
        whole probability, and the rest of them as -inf. Raises SessionError.
        """

    def extend(
        self, tokens: Sequence[int], *, back: int = 0, wanted: Sequence[int] = ()
    ) -> NDArray[np.float32]:
        """Add tokens to those held, and return the logits after the last: float32, (n_vocab,).

        ``back``: first give up so many of the tokens held. ``wanted``: as in ``read``.
        """

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> Sequences:
        """Several sequences beside the one that ``read`` holds; the same object every time.

        ``prefixes``: what the questions begin with; only the first call's count.
        """

    def close(self) -> None:
        """Free the memory; calling it again does nothing."""
