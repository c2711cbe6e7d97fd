"""The counts of a run, and the summary made of them.

This module judges nothing: it counts what the verdicts say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeguard.batch.judging import Outcome
from edgeguard.protocol.names import CATEGORIES, SEVERITIES


@dataclass
class Tally:
    """The counts so far, over all parts of a run that was resumed."""

    rows: int = 0
    errors: int = 0
    repeated: int = 0
    flagged: int = 0
    severities: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count a row."""
        self.rows += 1
        if outcome.verdict is None:
            self.errors += 1
            return
        verdict = json.loads(outcome.verdict)
        self.repeated += outcome.repeated
        self.flagged += verdict["flagged"]
        self.severities[verdict["severity"]] += 1
        self.categories.update(verdict["categories"])

    def copy(self) -> Tally:
        """The counts as they are now."""
        return self + Tally()

    def __add__(self, other: Tally) -> Tally:
        """The sums of both."""
        return Tally(
            self.rows + other.rows,
            self.errors + other.errors,
            self.repeated + other.repeated,
            self.flagged + other.flagged,
            self.severities + other.severities,
            self.categories + other.categories,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values only."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Tally:
        """The tally that ``to_dict`` was called on."""
        counts = {name: Counter(plain[name]) for name in ("severities", "categories")}
        return cls(**{**plain, **counts})

    def table(self, policy: str) -> list[tuple[str, str]]:
        """The counts by name, for people."""
        counted: list[tuple[str, int]] = [(name, self.severities[name]) for name in SEVERITIES]
        counted += [(f"flagged ({policy})", self.flagged)]
        counted += [(name, self.categories[name]) for name in CATEGORIES if self.categories[name]]
        return [(name, f"{count:,}") for name, count in counted]
