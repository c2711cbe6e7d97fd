"""What an engine says of a response that is still being written.

Engines: StreamJudge (edgeguard.stream.judge) gives a label to each token; a Qwen3Guard-Gen can be
asked again at intervals. Places are in characters of the response as it was fed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import Refusal, Severity


@dataclass(frozen=True)
class TokenLabel:
    """What the heads say of one token, which stands from ``start`` to ``end``.

    ``probabilities`` are in the order of SEVERITIES, ``categories`` in that of the protocol's side.
    """

    start: int
    end: int
    severity: Severity
    probabilities: tuple[float, ...]
    categories: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What is known of a text by now.

    ``severity`` never gets milder again. ``judged_to``: the text is judged up to there.
    ``safe_to``: up to there it may be shown; it stays at where harm began once that is flagged.
    ``span``: where the harm that was flagged first begins, and how far it goes by now.
    ``tokens`` counts those read, ``windows`` the overlapping parts in which they had to be read.
    ``refusal`` is None where the engine says nothing of it.
    """

    severity: Severity
    probabilities: tuple[float, ...]
    categories: tuple[str, ...]
    flagged: bool
    judged_to: int
    safe_to: int
    span: tuple[int, int] | None
    tokens: int
    windows: int
    refusal: Refusal | None = None


class Engine(Protocol):
    """Judges one response as it grows."""

    def begin(self, messages: tuple[Message, ...]) -> Reading:
        """Read the conversation, which ends with the user; what is said of that message."""

    def feed(self, text: str) -> Reading:
        """More of the response. What cannot be judged yet waits.

        After an error the text is kept, and the next call goes on.
        """

    def end(self) -> Reading:
        """The response is whole: judge what waited."""

    def labels(self) -> tuple[TokenLabel, ...]:
        """The labels of the tokens judged so far; none from an engine that has no tokens."""

    def close(self) -> None:
        """Give the memory back."""
