"""A run of `batch` without a model: a guard that follows a script, and a watch that calls back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgeguard import Guard
from edgeguard.batch.judging import Outcome
from edgeguard.batch.tally import Tally
from edgeguard.session.fake import FakeSession


@dataclass
class Watching:
    """A watch that calls back after each row."""

    after: Callable[[int], None] = lambda _rows: None
    kept_rows: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def begun(self, tally: Tally) -> None:
        """Nothing to do."""

    def row(self, outcome: Outcome, tally: Tally) -> None:
        """Keep the outcome."""
        self.outcomes.append(outcome)
        self.after(tally.rows)

    def kept(self, rows: int) -> None:
        """Note that the run ended early."""
        self.kept_rows.append(rows)


def fake() -> tuple[Guard, FakeSession]:
    session = FakeSession(
        lambda question: (
            "Safety: Unsafe\nCategories: Violent"
            if "kettle" in question
            else "Safety: Safe\nCategories: None"
        )
    )
    return Guard.with_session(session), session
