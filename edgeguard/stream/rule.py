"""From the labels of tokens to a severity: the rule of the authors' evaluation.

A response is Unsafe if two tokens in a row are Unsafe, else Controversial if two in a row are
Controversial, else Safe. An Unsafe token next to a Controversial one counts for nothing: the report
can be read otherwise, but the authors' program (eval_stream.py), which made the published figures,
does it so.

Labels are added one by one, so a long response costs no more at its end than at its beginning. This
module knows no text and no model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, SEVERITIES, UNSAFE, Severity
from edgeguard.stream.interface import TokenLabel

_HARMFUL = (UNSAFE, CONTROVERSIAL)  # the worst first


class Summary:
    """The result of the labels so far."""

    def __init__(self, labels: Iterable[TokenLabel] = (), in_a_row: int = IN_A_ROW) -> None:
        self._in_a_row = in_a_row
        self._last: deque[TokenLabel] = deque(maxlen=in_a_row)
        self._run = _Run(SAFE, in_a_row)
        self._worst: dict[Severity, TokenLabel] = {}
        self._named: dict[Severity, dict[int, None]] = {one: {} for one in _HARMFUL}
        for label in labels:
            self.add(label)

    def add(self, label: TokenLabel) -> None:
        """Add the next token's label."""
        if label.severity != self._run.severity:
            self._close_run()
            self._run = _Run(label.severity, self._in_a_row)
        self._run.add(label)
        is_first = len(self._last) < self._in_a_row
        self._last.append(label)
        mildest = min(self._last, key=_harm)
        self._note(SAFE, mildest, instead=is_first)
        if self._run.counts:
            self._note(self._run.severity, mildest)

    @property
    def severity(self) -> Severity:
        """The severity of the text."""
        return next((one for one in _HARMFUL if one in self._worst), SAFE)

    @property
    def deciding(self) -> TokenLabel | None:
        """The token whose probabilities stand for the text; None if there are no tokens.

        Candidates are all sequences of ``in_a_row`` tokens that give the text its severity; for a
        Safe text, all sequences of that length. Each is represented by its mildest token, and of
        these, the most harmful one decides.
        """
        return self._worst.get(self.severity)

    @property
    def categories(self) -> tuple[int, ...]:
        """The categories of the runs that count, by index; those of Unsafe runs first.

        A run has the categories that enough tokens in a row agree on, or else the most likely one.
        """
        found: list[int] = []
        for severity in _HARMFUL:
            found += self._named[severity]
            if self._run.counts and self._run.severity == severity:
                found += self._run.categories
        return tuple(dict.fromkeys(found))

    def _note(self, severity: Severity, mildest: TokenLabel, *, instead: bool = False) -> None:
        known = self._worst.get(severity)
        if known is None or instead or _harm(mildest) > _harm(known):
            self._worst[severity] = mildest

    def _close_run(self) -> None:
        if self._run.counts:
            self._named[self._run.severity].update(dict.fromkeys(self._run.categories))


class _Run:
    """A run of tokens of one severity."""

    def __init__(self, severity: Severity, in_a_row: int) -> None:
        self.severity = severity
        self._in_a_row = in_a_row
        self._size = 0
        self._sums: list[float] = []
        self._category, self._same = -1, 0
        self._named: dict[int, None] = {}

    def add(self, label: TokenLabel) -> None:
        """Add the next token's label."""
        self._size += 1
        if self.severity == SAFE:
            return
        sums = self._sums or [0.0] * len(label.categories)
        self._sums = [so_far + share for so_far, share in zip(sums, label.categories)]
        likeliest = _likeliest(label.categories)
        self._same = self._same + 1 if likeliest == self._category else 1
        self._category = likeliest
        if self._same >= self._in_a_row:
            self._named[likeliest] = None

    @property
    def counts(self) -> bool:
        """Whether it is harmful, and long enough."""
        return self.severity != SAFE and self._size >= self._in_a_row

    @property
    def categories(self) -> list[int]:
        """The categories of the run."""
        return [*self._named] or [_likeliest(self._sums)]


def _likeliest(shares: Sequence[float]) -> int:
    return max(range(len(shares)), key=shares.__getitem__)


def _harm(label: TokenLabel) -> float:
    return 1.0 - label.probabilities[SEVERITIES.index(SAFE)]
